"""`separate`: whether units and what they hold leave all other units alone, for every pair."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool

from amortis.structure.alignment import Owned, Window
from amortis.structure.moved import Moved
from amortis.structure.moved_data import without_level
from amortis.structure.probe import Probe
from amortis.structure.reading import Reading, held_by, parts
from amortis.structure.separating import separating_blocks, separating_subsets


@dataclasses.dataclass(frozen=True)
class Separation:
    """What came of moving separating subsets of the units.

    Attributes:
        subset: units that moved others when they and what they hold were moved; None if none did.
        point: at which point they did.
        weak: whether some unit may have moved, which could not be said.
        term: the site whose term showed it, where the others drown it.
        turn: where it was a term's value that showed it, and no derivative: how values were turned
            around (see `Probe.jumps`).
    """

    subset: Bool[np.ndarray, " units"] | None
    point: int
    weak: bool
    term: str | None = None
    turn: int | None = None


def separate(probe: Probe, readings: Mapping[str, Reading]) -> Separation:
    """Move separating subsets of the units with what they hold, until others move as well.

    If none do, each ordered pair of units has been looked at: the one was moved and the other not.
    Gradients are watched first, and then values, which also see comparisons and rounding.

    Args:
        probe: of the model.
        readings: which entries of the data each unit holds.

    Returns:
        What came of it.
    """
    subsets = _subsets(probe, readings)
    shapes = {name: value.shape for name, value in probe.arrays.items()}
    moves = [
        (Moved(s, held_by(readings, shapes, s)), point, number)
        for number, s in enumerate(subsets)
        for point in probe.at_points(number)
    ]
    weak = False
    for moved, point, _ in moves:
        subset = moved.units
        response = probe.respond(subset, moved.entries, point=point)
        if (response.units & ~subset).any():
            return Separation(subset, point, weak)
        if not weak and (response.weak & ~subset).any():
            weak = True
            for term in response.terms:
                alone = probe.respond(subset, moved.entries, point=point, term=term)
                if (alone.units & ~subset).any():
                    return Separation(subset, point, weak, term)
    # Where every evaluation is slow, a pair that jumps is looked for by some of the subsets only.
    for moved, point, turn in moves if probe.is_fast else moves[: len(probe.points)]:
        subset = moved.units
        # The subset's data stay: where no latent of a unit is, a term may hold data of many rows.
        rest = Moved(~subset, held_by(readings, shapes, ~subset))
        terms = probe.jumps(Moved(subset, {}), rest, point, turn)
        if terms:
            return Separation(subset, point, weak, terms[0], turn)
    return Separation(None, 0, weak)


def _subsets(probe: Probe, readings: Mapping[str, Reading]) -> Bool[np.ndarray, "subsets units"]:
    subsets = separating_subsets(probe.axis.size)
    width = max((span_of(r) for r in readings.values()), default=0)
    if width > 0 and probe.axis.size > 8 * (width + 1):
        blocks = separating_blocks(probe.axis.size, 4 * (width + 1))
        subsets = np.concatenate([subsets, blocks])
    return subsets


def read_by_jumps(probe: Probe, readings: Mapping[str, Reading]) -> str | None:
    """An array that the units meet in comparisons and rounding only, where no derivative shows it.

    Args:
        probe: of the model.
        readings: which arrays the units' gradients read.

    Returns:
        Its name; None if there is none.
    """
    everyone = np.ones(probe.axis.size, bool)
    indices = {r.alignment.index for r in readings.values() if isinstance(r.alignment, Owned)}
    for name, value in probe.arrays.items():
        if readings[name].read or name in indices:
            continue
        for mask in parts(value.shape):
            for point in range(len(probe.points)):
                if probe.jumps(Moved(everyone, {}), Moved(~everyone, {name: (0, mask)}), point):
                    return name
    return None


def read_by_extremes(probe: Probe, readings: Mapping[str, Reading]) -> str | None:
    """An array whose largest or smallest value all units read, besides their own.

    Moves to values of other rows hardly ever change it where it occurs often: some row keeps it. So
    it is taken away first, and then given to the rows of half of the units.

    Args:
        probe: of the model.
        readings: which entries each unit reads.

    Returns:
        The array's name; None if there is none.
    """
    half = np.random.default_rng(5).permutation(probe.axis.size) < (probe.axis.size + 1) // 2
    for name, values in probe.arrays.items():
        alignment = readings[name].alignment
        if not readings[name].read or alignment is None or not values.ndim:
            continue
        held = alignment.held(half, values.shape[alignment.axis])
        for extreme in (np.max, np.min):
            data = without_level(probe.data, name, extreme)
            if data is None:
                continue
            if (probe.respond_from(data, {name: (alignment.axis, held)}) & ~half).any():
                return name
    return None


def span_of(reading: Reading) -> int:
    """Units that share an entry of an array, less one; zero where each entry has one reader."""
    alignment = reading.alignment
    if not isinstance(alignment, Window) or alignment.disjoint:
        return 0
    return (max(alignment.offsets) - min(alignment.offsets)) // alignment.stride + 1
