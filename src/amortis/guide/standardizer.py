"""`Standardizer`: inputs in units of their own spread, decided once, from the fitted data."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from amortis.inference_functions import Parts

_ROWS_AT_ONCE = 2**18
"""Rows whose squares are summed at once: 64 bit copies of ten million rows would be the most memory
that a fit by minibatches takes."""


_LOOKED, _FARTHEST = 1000, 5.0
"""Rows in which it is seen that a column is sparse, and the largest entry of such a column."""


class _Columns(eqx.Module):
    """Mean of each column, and what centered columns are multiplied with."""

    center: Float[Array, " columns"]
    mixing: Float[Array, " columns"] | Float[Array, "columns columns"]

    def __call__(self, matrix: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
        centered = matrix - self.center
        return centered * self.mixing if self.mixing.ndim == 1 else centered @ self.mixing

    def on_host(self, matrix: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
        """The same, of values: every operation on a device would be compiled first."""
        center, mixing = np.asarray(self.center), np.asarray(self.mixing)
        centered = np.asarray(matrix) - center
        return jax.device_put(centered * mixing if mixing.ndim == 1 else centered @ mixing)

    @classmethod
    def of(cls, matrix: Float[Array, "rows columns"], decorrelate: bool) -> "_Columns":
        values, dtype = np.asarray(matrix), matrix.dtype
        center = values.mean(axis=0, dtype=np.float64)
        mixes = decorrelate and values.shape[1] > 1
        mix = (_decorrelating if mixes else _standardizing)(values, center)
        return cls(jax.device_put(center.astype(dtype)), jax.device_put(mix.astype(dtype)))


class Standardizer(eqx.Module):
    """Centers and scales the parts that an inference function reads.

    Attributes:
        rows: of the units' own rows: one over their sds, or a whole matrix where the function can
            use decorrelated inputs.
        members: of the rows of groups.
    """

    rows: _Columns
    members: _Columns | None

    @classmethod
    def of(cls, parts: Parts, decorrelate: bool) -> "Standardizer":
        """The standardizer of fitted data.

        Args:
            parts: what the inference function reads of them.
            decorrelate: whether its inputs may be mixed.
        """
        members = None if parts.members is None else _Columns.of(parts.members, False)
        return cls(_Columns.of(parts.rows, decorrelate), members)

    @classmethod
    def idle(cls, columns: int, members: int | None, decorrelate: bool) -> "Standardizer":
        """One of the same sizes as `of` makes, that leaves everything as it is.

        Args:
            columns: of the units' own rows.
            members: columns of the rows of groups; None where no groups are read.
            decorrelate: whether inputs may be mixed.
        """
        mixes = decorrelate and columns > 1
        rows = _Columns(jnp.zeros(columns), jnp.eye(columns) if mixes else jnp.ones(columns))
        return cls(
            rows, None if members is None else _Columns(jnp.zeros(members), jnp.ones(members))
        )

    def __call__(self, parts: Parts) -> Parts:
        """The same parts, standardized."""
        rows = self.rows(parts.rows)
        if self.members is None or parts.members is None:
            return dataclasses.replace(parts, rows=rows)
        return dataclasses.replace(parts, rows=rows, members=self.members(parts.members))

    def on_host(self, parts: Parts) -> Parts:
        """The same as a call, where there are values; once, when a guide is made."""
        rows = self.rows.on_host(parts.rows)
        if self.members is None or parts.members is None:
            return dataclasses.replace(parts, rows=rows)
        return dataclasses.replace(parts, rows=rows, members=self.members.on_host(parts.members))


def _standardizing(
    matrix: Float[np.ndarray, "n d"], center: Float[np.ndarray, " d"]
) -> Float[np.ndarray, " d"]:
    """One over the standard deviations; one for constant columns.

    Entries of sparse columns, such as pixels at the rim or rare words, would be hundreds of sds
    large, and whatever a function makes of them: they are five at the most.
    """
    squares, farthest = np.zeros_like(center), np.zeros_like(center)
    for start in range(0, len(matrix), _ROWS_AT_ONCE):
        centered = matrix[start : start + _ROWS_AT_ONCE].astype(np.float64) - center
        squares += np.square(centered).sum(axis=0)
        farthest = np.maximum(farthest, np.abs(centered).max(axis=0))
    spread = np.sqrt(squares / max(len(matrix), 1))
    constant = spread <= 1e-7 * np.maximum(farthest, 1e-30)
    spread = np.where(_sparse(matrix), np.maximum(spread, farthest / _FARTHEST), spread)
    return 1.0 / np.where(constant, 1.0, spread)


def _sparse(matrix: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " d"]:
    """Whether at least half of a column's entries, of those looked at, are one value."""
    looked = matrix[:: max(len(matrix) // _LOOKED, 1)]
    return np.mean(looked == np.median(looked, axis=0), axis=0) >= 0.5


def _decorrelating(
    matrix: Float[np.ndarray, "n d"], center: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "d d"]:
    """A matrix that makes columns uncorrelated with unit variance.

    Directions that hardly vary (a thousandth of the average variance) are not blown up.
    """
    centered = matrix.astype(np.float64) - center
    values, vectors = np.linalg.eigh(centered.T @ centered / len(centered))
    floor = max(1e-3 * float(values.mean()), 1e-30)
    return vectors / np.sqrt(np.maximum(values, floor))
