"""The data of a density, and where its entries are moved to."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from amortis.structure.joint import AnyArray, Joint
from amortis.structure.relaxing import relaxed

_BEYOND = 3.0
"""Data move to the line through two rows' values, so many differences beyond the second."""


class Data(NamedTuple):
    """The data by name.

    Attributes:
        floats: arrays that have derivatives.
        integers: arrays that have none.
        others: where either moves to.
        directions: along which derivatives of the first are taken.
    """

    floats: Mapping[str, AnyArray]
    integers: Mapping[str, AnyArray]
    others: Mapping[str, AnyArray]
    directions: Mapping[str, AnyArray]


def draw_data(joint: Joint, generator: np.random.Generator) -> tuple[Data, Data]:
    """The model's own data, and other values to move to.

    Args:
        joint: the density.
        generator: of the draws.

    Returns:
        The data with other rows' values to move to; and data of which a half lie beyond the range
        of all rows, with such values to move to. Still in the support of the model's sites.
    """
    floats, integers = relaxed(joint)
    near = Data(
        floats,
        integers,
        {n: _elsewhere(v, generator) for n, v in (floats | integers).items()},
        {n: _direction(v, generator) for n, v in floats.items()},
    )
    far = {n: _beyond(v, near.others[n]) for n, v in floats.items()}
    partly = {n: _partly(v, far[n], generator) for n, v in floats.items()}
    return near, near._replace(floats=partly, others={**near.others, **far})


def without_level(data: Data, name: str, extreme: Callable[[np.ndarray], Any]) -> Data | None:
    """The data without the largest, or smallest, value of an array, which is there to move to.

    Args:
        data: the data.
        name: an array.
        extreme: NumPy's `max` or `min`.

    Returns:
        Data where that value has become the next one to it; None if there is no other value.
    """
    kind = "floats" if name in data.floats else "integers"
    arrays: Mapping[str, AnyArray] = getattr(data, kind)
    old = np.asarray(arrays[name])
    level = extreme(old)
    rest = old[old != level]
    if rest.size == 0 or old.dtype.kind == "b":
        return None
    new = np.where(old == level, extreme(rest), old).astype(old.dtype)
    others = {**data.others, name: np.full_like(old, level)}
    return data._replace(**{kind: {**arrays, name: new}}, others=others)


def _elsewhere(value: AnyArray, generator: np.random.Generator) -> np.ndarray:
    """Another value for every entry, from the same column."""
    old = np.asarray(value)
    if old.ndim == 0:
        return _next(old)
    new = old[generator.permutation(old.shape[0])]
    return np.where(new == old, _next(old), new)


def _beyond(value: AnyArray, other: AnyArray) -> np.ndarray:
    """Values beyond others, seen from the data; positive ones stay so; integers and shares stay."""
    old, new = np.asarray(value, np.float64), np.asarray(other, np.float64)
    if old.size == 0 or np.array_equal(old, np.round(old)) or (old.min() >= 0 and old.max() <= 1):
        return np.asarray(other)
    if old.min() > 0 and new.min() > 0:
        return np.asarray(new * (new / old) ** _BEYOND, value.dtype)
    return np.asarray(new + _BEYOND * (new - old), value.dtype)


def _partly(value: AnyArray, other: AnyArray, generator: np.random.Generator) -> np.ndarray:
    """The one or the other for every entry along the first axis."""
    if value.ndim == 0:
        return np.asarray(value)
    mask = generator.random(value.shape[0]) < 0.5
    return np.where(mask.reshape(-1, *[1] * (value.ndim - 1)), other, value)


def _next(old: np.ndarray) -> np.ndarray:
    """A value near by of the same kind: one less, or one more than zero; a little smaller."""
    if old.dtype.kind == "b":
        return ~old
    if old.dtype.kind in "iu" or np.array_equal(old, np.round(old)):
        return np.where(old > 0, old - 1, old + 1).astype(old.dtype)
    return np.where(old == 0, 0.1, 0.9 * old).astype(old.dtype)


def _direction(value: AnyArray, generator: np.random.Generator) -> np.ndarray:
    scale = np.std(np.asarray(value, np.float64)) or 1.0
    noise = generator.normal(size=value.shape) * scale
    return np.asarray(noise, value.dtype)
