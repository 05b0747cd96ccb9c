"""The numbers that inference functions read: a unit's own row, its neighbors', its group's."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from amortis._errors import DataError
from amortis.numerics import Groups

MOST_LEVELS = 64
"""Categories that are read as indicators; of more, the integer itself is read."""


class Series(eqx.Module):
    r"""Rows along the units, of which unit n reads those around $\mathrm{stride}\cdot n$.

    Attributes:
        values: the rows, shape (R, E).
        stride: rows from one unit's own to the next one's.
        names: what each column is.
    """

    values: Float[Array, "rows series_columns"]
    stride: int = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)


class Membership(eqx.Module):
    """Rows that belong to groups, one group per unit.

    Attributes:
        values: the rows, shape (M, F).
        groups: the group of each.
        names: what each column is.
    """

    values: Float[Array, "members member_columns"]
    groups: Groups
    names: tuple[str, ...] = eqx.field(static=True)


class Inputs(eqx.Module):
    """All that inference functions may read of a model's data, or of new data.

    Attributes:
        rows: one row per unit, shape (N, D).
        series: rows that units share with their neighbors, where those are not `rows`.
        members: rows that belong to groups.
    """

    rows: Float[Array, "units columns"]
    series: Series | None = None
    members: Membership | None = None


def as_inputs(
    arrays: Sequence[Array],
    names: Sequence[str],
    size: int,
    levels: Mapping[str, np.ndarray] | None = None,
) -> tuple[Float[Array, "rows columns"], tuple[str, ...]]:
    """Lay all row-aligned arrays side by side as floating point columns.

    Args:
        arrays: row-aligned arrays of any trailing shape; booleans and integers are read as numbers,
            unless they are categories.
        names: one name per array.
        size: number of rows N.
        levels: the categories of integer arrays that the model uses as indices; each is read as
            one indicator per category.

    Returns:
        A matrix of shape (N, columns) and the name of each column.
    """
    dtype = jnp.result_type(float)
    # On the host where there are values: every operation on a device would be compiled first.
    traced = any(isinstance(array, Tracer) for array in arrays)
    xp: Any = jnp if traced else np
    columns: list[Any] = []
    labels: list[str] = []
    for name, array in zip(names, arrays, strict=True):
        flat = xp.reshape(xp.asarray(array), (size, -1))
        known = (levels or {}).get(name)
        each = [name] if flat.shape[1] == 1 else [f"{name}[{i}]" for i in range(flat.shape[1])]
        if known is None:
            columns.append(flat.astype(dtype))
            labels += each
            continue
        indicators = flat[:, :, None] == xp.asarray(known)
        columns.append(xp.reshape(indicators, (size, -1)).astype(dtype))
        labels += [f"{label}={level}" for label in each for level in known]
    matrix = xp.concatenate(columns, axis=1) if columns else xp.zeros((size, 0), dtype)
    return matrix if traced else jax.device_put(matrix), tuple(labels)


def encode(
    labels: Sequence[str], arrays: Mapping[str, Array], size: int
) -> Float[Array, "rows columns"]:
    """The columns that `as_inputs` has given these labels, of other values of the same arrays.

    Args:
        labels: labels of columns, such as `x`, `x[2]`, `kind=0` or `answers[1]=3`.
        arrays: row-aligned arrays by name, of any trailing shape.
        size: number of rows.

    Returns:
        One column per label.
    """
    dtype = jnp.result_type(float)
    columns: list[Array] = []
    for label in labels:
        name = max((n for n in arrays if columns_of([label], [n])), key=len)
        entry, _, level = label[len(name) :].partition("=")
        column = jnp.reshape(arrays[name], (size, -1))[:, int(entry[1:-1]) if entry else 0]
        columns.append((column == int(level) if level else column).astype(dtype))
    return jnp.stack(columns, axis=1) if columns else jnp.zeros((size, 0), dtype)


def levels_of(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """The categories of each array, of those that do not have too many."""
    found = {name: np.unique(np.asarray(array)) for name, array in arrays.items()}
    return {name: values for name, values in found.items() if len(values) <= MOST_LEVELS}


def read_alike(
    arrays: Mapping[str, Array], size: int, labels: tuple[str, ...]
) -> Float[Array, "rows columns"]:
    """The columns of that name, made of new arrays; with the same categories.

    Args:
        arrays: row-aligned arrays by name.
        size: number of rows.
        labels: names of the columns, as `as_inputs` made them.

    Raises:
        DataError: categories that have no column.
    """
    known = {
        name: levels
        for name, array in arrays.items()
        if len(levels := _levels_among(labels, name, array.dtype))
    }
    for name, levels in known.items():
        unseen = np.setdiff1d(np.asarray(arrays[name]), levels)
        if len(unseen):
            raise DataError(
                f"the new data have the category {name}={unseen[0]}, which was not among the data "
                f"that the model was fitted to; expected the same categories: fit again with data "
                f"of all"
            )
    values, names = as_inputs(list(arrays.values()), list(arrays), size, known)
    place = {name: i for i, name in enumerate(names)}
    return values[:, np.asarray([place[label] for label in labels], int)]


def _levels_among(labels: tuple[str, ...], name: str, dtype: Any) -> np.ndarray:
    """The categories of an array that has indicators among the columns; none if it has not."""
    parts = [label.rpartition("=") for label in labels]
    own = [level for stem, _, level in parts if stem == name or stem.startswith(f"{name}[")]
    numbers = {"True": 1, "False": 0}
    return np.unique([numbers.get(v, v) for v in own]).astype(int).astype(dtype)


def columns_of(labels: Sequence[str], arrays: Sequence[str]) -> list[int]:
    """Positions of the columns that were made of some arrays."""
    return [
        i
        for i, label in enumerate(labels)
        if any(label == name or label.startswith((f"{name}[", f"{name}=")) for name in arrays)
    ]
