"""`Standardizer`: inputs in units of their own spread, decided once, from the fitted data."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from amortis.inference_functions import AbstractInferenceFunction, Parts

_ROWS_AT_ONCE = 2**18
"""Rows whose squares are summed at once: 64 bit copies of ten million rows would be the most memory
that a fit by minibatches takes."""


_LOOKED, _FARTHEST = 1000, 5.0
"""Rows in which it is seen that a column is sparse, and the largest entry of such a column."""

_LONG = 5.0
"""How many times as long as is typical the longest row is before long ones are shortened."""


class _Columns(eqx.Module):
    """Mean of each column, and what centered columns are multiplied with."""

    center: Float[Array, " columns"]
    mixing: Float[Array, " columns"] | Float[Array, "columns columns"]

    def __call__(self, matrix: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
        centered = matrix - self.center
        return centered * self.mixing if self.mixing.ndim == 1 else centered @ self.mixing

    def on_host(self, matrix: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
        """The same, of values: every operation on a device would be compiled first."""
        return jax.device_put(self.of_values(np.asarray(matrix)))

    def of_values(
        self, matrix: Float[np.ndarray, "rows columns"]
    ) -> Float[np.ndarray, "rows columns"]:
        """The same, of NumPy's arrays."""
        center, mixing = np.asarray(self.center), np.asarray(self.mixing)
        centered = matrix - center
        return centered * mixing if mixing.ndim == 1 else centered @ mixing

    @classmethod
    def of(cls, matrix: Float[Array, "rows columns"], decorrelate: bool) -> "_Columns":
        values, dtype = np.asarray(matrix), matrix.dtype
        center = values.mean(axis=0, dtype=np.float64)
        mixes = decorrelate and values.shape[1] > 1
        mix = (_decorrelating if mixes else _standardizing)(values, center)
        return cls(jax.device_put(center.astype(dtype)), jax.device_put(mix.astype(dtype)))


class Standardizer(eqx.Module):
    r"""Centers and scales the parts that an inference function reads.

    Rows of sparse columns, such as documents, may be many times as long as others, and a network's
    outputs with them. Where a function `shortens_rows`, a row of length r beyond the typical
    length $\rho$ then has the length $\rho(1 + \log r/\rho)$ and its direction: other rows are as
    they were, and no two become alike.

    Attributes:
        rows: of the units' own rows: one over their sds, or a whole matrix where the function can
            use decorrelated inputs.
        members: of the rows of groups.
        shortening: $1/\rho$, or zero where all rows are left as long as they are; None for a
            function that does not want it.
    """

    rows: _Columns
    members: _Columns | None
    shortening: Float[Array, ""] | None

    @classmethod
    def of(cls, parts: Parts, function: AbstractInferenceFunction) -> "Standardizer":
        """The standardizer of fitted data.

        Args:
            parts: what the inference function reads of them.
            function: the inference function.
        """
        members = None if parts.members is None else _Columns.of(parts.members, False)
        rows = _Columns.of(parts.rows, function.closed_under_linear_maps)
        if not function.shortens_rows:
            return cls(rows, members, None)
        shortening = np.asarray(_shortening(rows, np.asarray(parts.rows)), parts.rows.dtype)
        return cls(rows, members, jax.device_put(shortening))

    @classmethod
    def idle(
        cls, columns: int, members: int | None, function: AbstractInferenceFunction
    ) -> "Standardizer":
        """One of the same sizes as `of` makes, that leaves everything as it is.

        Args:
            columns: of the units' own rows.
            members: columns of the rows of groups; None where no groups are read.
            function: the inference function.
        """
        mixes = function.closed_under_linear_maps and columns > 1
        rows = _Columns(jnp.zeros(columns), jnp.eye(columns) if mixes else jnp.ones(columns))
        return cls(
            rows,
            None if members is None else _Columns(jnp.zeros(members), jnp.ones(members)),
            jnp.zeros(()) if function.shortens_rows else None,
        )

    def __call__(self, parts: Parts) -> Parts:
        """The same parts, standardized."""
        rows = self.rows(parts.rows)
        if self.shortening is not None:
            # Scaled first and bounded below, so that rows at the center have a slope, too.
            square = jnp.sum(jnp.square(rows * self.shortening), axis=1, keepdims=True)
            excess = jnp.sqrt(jnp.maximum(square, 1.0))
            rows = rows * ((1.0 + jnp.log(excess)) / excess)
        if self.members is None or parts.members is None:
            return dataclasses.replace(parts, rows=rows)
        return dataclasses.replace(parts, rows=rows, members=self.members(parts.members))

    def on_host(self, parts: Parts) -> Parts:
        """The same as a call, where there are values; once, when a guide is made."""
        rows = self.rows.on_host(parts.rows)
        if self.shortening is not None and self.shortening > 0.0:
            values = np.asarray(rows)
            square = np.sum(np.square(values * np.asarray(self.shortening)), axis=1, keepdims=True)
            excess = np.sqrt(np.maximum(square, 1.0))
            shorter = values * ((1.0 + np.log(excess)) / excess)
            rows = jax.device_put(shorter.astype(rows.dtype))
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


def _shortening(columns: _Columns, matrix: Float[np.ndarray, "n d"]) -> float:
    """One over the root of the mean squared length of standardized rows; zero where none is long.

    Only of rows of which most columns are sparse: of others the largest of many is no odd one.
    """
    if not matrix.size or np.mean(_sparse(matrix)) < 0.5:
        return 0.0
    starts = range(0, len(matrix), _ROWS_AT_ONCE)
    pieces = (columns.of_values(matrix[start : start + _ROWS_AT_ONCE]) for start in starts)
    squares = np.concatenate([np.square(piece).sum(axis=1) for piece in pieces])
    typical = float(np.sqrt(squares.mean(dtype=np.float64)))
    return 1.0 / typical if np.sqrt(squares.max()) > _LONG * typical > 0.0 else 0.0


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
