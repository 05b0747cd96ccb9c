"""Names of the axes of draws: plates where a model has them, the user's, ArviZ's defaults."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from amortis._errors import ArgumentError
from amortis._require import shown
from amortis.export.arviz_import import plain

SAMPLE = ("chain", "draw")
"""The axes that ArviZ gives to every variable of a posterior."""


@dataclasses.dataclass(frozen=True)
class AxisNames:
    """Names of the axes of every variable, and the labels along them.

    Attributes:
        dims: for each variable, one name per axis.
        coords: labels along some of these axes.
    """

    dims: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, np.ndarray]


def name_axes(
    shapes: Mapping[str, tuple[int, ...]],
    plates: Mapping[str, tuple[str | None, ...]],
    dims: Mapping[str, Sequence[str]] | None,
    coords: Mapping[str, Any] | None,
) -> AxisNames:
    """Name all axes, and check the user's names and labels against the lengths.

    Args:
        shapes: shape of each variable, without draws.
        plates: for some variables, the plate along each axis, or None.
        dims: the user's names by variable: one per axis, or one per axis that no plate names.
        coords: the user's labels by name of an axis.

    Returns:
        The names and labels.

    Raises:
        ArgumentError: names or labels that do not fit.
    """
    for name in dims or {}:
        if name not in shapes:
            raise ArgumentError(
                f"dims names {name!r}; expected one of {', '.join(shapes)}: correct the name"
            )
    named = {
        name: _named(name, plates.get(name, (None,) * len(shape)), (dims or {}).get(name))
        for name, shape in shapes.items()
    }
    lengths = _lengths(shapes, named)
    for axis in lengths:
        if axis in map(plain, shapes):
            raise ArgumentError(
                f"an axis and a variable are both called {axis!r}; expected names of their own: "
                f"name the axis otherwise in dims="
            )
    return AxisNames(named, {a: _labels(a, v, lengths) for a, v in (coords or {}).items()})


def is_list_of_names(value: Any) -> bool:
    """Whether a value could name axes, one by one."""
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _named(
    variable: str, plates: tuple[str | None, ...], given: Sequence[str] | None
) -> tuple[str, ...]:
    """One name per axis of a variable."""
    free = plates.count(None)
    if given is None:
        names = plates
    elif not is_list_of_names(given) or len(given) not in (free, len(plates)):
        wanted = " or ".join(str(n) for n in sorted({free, len(plates)} - {0}))
        came = f"{len(given)} names" if is_list_of_names(given) else shown(given)
        raise ArgumentError(
            f"dims has {came} for {variable!r}, an array of {len(plates)} axes, {free} of them "
            f"outside plates; expected a list of {wanted or 'no'} names: one per axis"
        )
    elif len(given) == len(plates):
        names = tuple(given)
    else:
        rest = iter(given)
        names = tuple(next(rest) if plate is None else plate for plate in plates)
    unnamed = iter(range(len(names)))
    every = tuple(plain(f"{variable}_dim_{next(unnamed)}" if n is None else n) for n in names)
    if len(set(every)) < len(every) or set(every) & set(SAMPLE):
        raise ArgumentError(
            f"the axes of {variable!r} are called {', '.join(every)}; expected different names, "
            f"none of them {' or '.join(SAMPLE)}: name its axes otherwise in dims="
        )
    return every


def _lengths(
    shapes: Mapping[str, tuple[int, ...]], named: Mapping[str, tuple[str, ...]]
) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for variable, shape in shapes.items():
        for axis, length in zip(named[variable], shape, strict=True):
            if lengths.setdefault(axis, length) != length:
                raise ArgumentError(
                    f"axis {axis!r} has length {length} at {variable!r} and {lengths[axis]} "
                    f"elsewhere; expected one length per name: name one of them otherwise in dims="
                )
    return lengths


def _labels(axis: str, values: Any, lengths: Mapping[str, int]) -> np.ndarray:
    labels = np.asarray(values)
    if axis not in lengths:
        raise ArgumentError(
            f"coords has labels for {axis!r}; expected one of the axes "
            f"{', '.join(lengths) or '(there are none)'}: correct the name"
        )
    if labels.shape != (lengths[axis],):
        raise ArgumentError(
            f"coords has labels of shape {labels.shape} for {axis!r}; expected ({lengths[axis]},): "
            f"pass one label per entry"
        )
    return labels
