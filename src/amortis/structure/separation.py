"""`separate`: whether units and what they hold leave all other units alone, for every pair."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool

from amortis.structure.alignment import Window
from amortis.structure.probe import Probe
from amortis.structure.reading import Reading, held_by
from amortis.structure.separating import separating_blocks, separating_subsets


@dataclasses.dataclass(frozen=True)
class Separation:
    """What came of moving separating subsets of the units.

    Attributes:
        subset: units that moved others when they and what they hold were moved; None if none did.
        point: at which point they did.
        weak: whether some unit may have moved, which could not be said.
        term: the site whose term showed it, where the others drown it.
    """

    subset: Bool[np.ndarray, " units"] | None
    point: int
    weak: bool
    term: str | None = None


def separate(probe: Probe, readings: Mapping[str, Reading]) -> Separation:
    """Move separating subsets of the units with what they hold, until others move as well.

    If none do, each ordered pair of units has been looked at: the one was moved and the other not.

    Args:
        probe: of the model.
        readings: which entries of the data each unit holds.

    Returns:
        What came of it.
    """
    shapes = {name: value.shape for name, value in probe.arrays.items()}
    subsets = separating_subsets(probe.axis.size)
    width = max((span_of(r) for r in readings.values()), default=0)
    if width > 0 and probe.axis.size > 8 * (width + 1):
        blocks = separating_blocks(probe.axis.size, 4 * (width + 1))
        subsets = np.concatenate([subsets, blocks])
    weak = False
    for number, subset in enumerate(subsets):
        point = len(probe.points) - 1 - number % len(probe.points)  # the widest first
        held = held_by(readings, shapes, subset)
        response = probe.respond(subset, held, point=point)
        if (response.units & ~subset).any():
            return Separation(subset, point, weak)
        if not weak and (response.weak & ~subset).any():
            weak = True
            for term in response.terms:
                alone = probe.respond(subset, held, point=point, term=term)
                if (alone.units & ~subset).any():
                    return Separation(subset, point, weak, term)
    return Separation(None, 0, weak)


def span_of(reading: Reading) -> int:
    """Units that share an entry of an array, less one; zero where each entry has one reader."""
    alignment = reading.alignment
    if not isinstance(alignment, Window) or alignment.disjoint:
        return 0
    return (max(alignment.offsets) - min(alignment.offsets)) // alignment.stride + 1
