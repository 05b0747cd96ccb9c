"""`objection_to`: why there is no yes although the latents do not touch each other."""

from collections.abc import Mapping

import numpy as np

from amortis.structure.alignment import Owned, Shared
from amortis.structure.joint import LatentAxis
from amortis.structure.probe import Probe
from amortis.structure.reading import Reading, points_at_entries
from amortis.structure.separation import read_by_extremes, read_by_jumps
from amortis.structure.verdict import Evidence, Kind, Verdict


def undecided(axis: LatentAxis, *reasons: str, kind: Kind = Kind.UNKNOWN) -> Verdict:
    """A verdict that is no yes and names no couplings.

    Args:
        axis: the axis of the units.
        *reasons: sentences that say why.
        kind: UNKNOWN, or HIDDEN.
    """
    return Verdict(
        kind, axis.name, axis.size, tuple(axis.sites), (), reasons, Evidence.PROBED, False
    )


def objection_to(probe: Probe, readings: Mapping[str, Reading], weak: bool) -> Verdict | None:
    """The verdict where something other than the latents stands against a yes.

    Args:
        probe: of the model.
        readings: how the arrays are read.
        weak: whether some unit may have moved with others, which could not be said.

    Returns:
        HIDDEN or UNKNOWN with the reason; None if nothing stands against it.
    """
    axis = probe.axis
    unclear = [name for name, reading in readings.items() if reading.alignment is None]
    stray = stray_index(probe, unclear[0]) if unclear else None
    if stray is not None:
        return undecided(axis, stray)
    for name, reading in readings.items():
        pointing = [n for n in probe.data.integers if points_at_entries(probe, n)]
        if reading.alignment is None and reading.by_one and pointing:
            reason = (
                f"each unit reads the entries of {name} that {', '.join(pointing)} points at: "
                f"no pattern that is known here"
            )
            return undecided(axis, reason)
        if reading.alignment is None and reading.by_one:
            reason = (
                f"each entry of {name} belongs to one unit, but no integer argument says to which: "
                f"pass the group of each row as an argument instead of writing it into the model"
            )
            return undecided(axis, reason, kind=Kind.HIDDEN)
        if reading.alignment is None:
            return undecided(axis, f"entries of {name} are read by several units without a pattern")
    rows = {axis.size}
    for name, reading in readings.items():
        if reading.read and reading.alignment is not None and not is_shared(reading):
            rows.add(probe.arrays[name].shape[reading.alignment.axis])
    for name, reading in readings.items():
        if reading.read and is_shared(reading) and rows & set(probe.arrays[name].shape):
            reason = (
                f"every unit reads all of {name}, as through a mean of it: compute such a "
                f"summary outside the model and pass it as a number"
            )
            return undecided(axis, reason)
    indices = {r.alignment.index for r in readings.values() if isinstance(r.alignment, Owned)}
    for name, value in probe.joint.constants.items():
        if name not in indices and rows & set(value.shape):
            reason = (
                f"the model needs the values of {name} while it is traced, so they cannot be "
                f"moved: pass the number that it takes from them as an argument of its own"
            )
            return undecided(axis, reason)
    extreme = read_by_extremes(probe, readings)
    if extreme is not None:
        reason = (
            f"every unit reads the largest or smallest of {extreme}: compute it outside the model "
            f"and pass it as a number"
        )
        return undecided(axis, reason)
    jumped = read_by_jumps(probe, readings)
    if jumped is not None:
        reason = (
            f"units meet {jumped} in comparisons or rounding only, which have no derivative: how "
            f"each reads it cannot be seen"
        )
        return undecided(axis, reason)
    if weak:
        reason = "some derivatives between units are neither zero nor larger than rounding errors"
        return undecided(axis, reason)
    return None


def stray_index(probe: Probe, name: str) -> str | None:
    """What is wrong with integers along an array that look like an index of the units.

    Args:
        probe: of the model.
        name: the array.

    Returns:
        A sentence if one of them leaves the range of the units; None if none does.
    """
    size, length = probe.axis.size, probe.arrays[name].shape[0]
    every = {**probe.data.integers, **probe.joint.constants}
    for index, values in every.items():
        if values.shape != (length,) or values.dtype.kind not in "iu":
            continue
        low, high = int(np.min(values)), int(np.max(values))
        if low < 0 or high >= size:
            sites = ", ".join(probe.axis.sites)
            hint = f"subtract {low} in the model" if high - low < size and low > 0 else "correct it"
            return (
                f"{index} runs from {low} to {high}, but {sites} has units 0 to {size - 1}: "
                f"entries beyond them are clamped or counted from the end without a word; {hint}"
            )
    return None


def is_shared(reading: Reading) -> bool:
    """Whether all units read all of an array."""
    return isinstance(reading.alignment, Shared)
