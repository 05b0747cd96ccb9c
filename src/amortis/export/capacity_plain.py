"""The sizes of function that a fit tried, as plain values, and back."""

from typing import Any

from amortis.export.plain_values import entry, size
from amortis.fitting import Capacity, CapacityStep, Estimate


def capacity_to_plain(capacity: Capacity | None) -> dict[str, Any] | None:
    """The record, or None where no tolerance was asked for."""
    return None if capacity is None else capacity.to_dict()


def capacity_from_plain(plain: object) -> Capacity | None:
    """The record again.

    Raises:
        Malformed: the values describe none.
    """
    if plain is None:
        return None
    steps: list[Any] = entry(plain, "steps", list)
    return Capacity(
        tolerance=entry(plain, "tolerance", float),
        certified=entry(plain, "certified", bool),
        refined=entry(plain, "refined", bool),
        steps=tuple(_step(step) for step in steps),
    )


def _step(plain: object) -> CapacityStep:
    gap = entry(plain, "gap", dict)
    return CapacityStep(
        function=entry(plain, "function", str),
        parameters=size("parameters", entry(plain, "parameters", int)),
        gap=Estimate(entry(gap, "mean", float), entry(gap, "se", float), entry(gap, "unit", str)),
        seconds=entry(plain, "seconds", float),
    )
