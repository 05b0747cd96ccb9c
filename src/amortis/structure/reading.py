"""How each array is read: the alignment that its responses do not contradict."""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Bool

from amortis.structure.alignment import AbstractAlignment, Owned, Shared, Window
from amortis.structure.probe import Probe

_TRIALS = 3
"""Random halves on which a hypothesis is tried before it is believed enough to be tested on all
pairs."""

_MOST_OFFSETS = 64


@dataclasses.dataclass(frozen=True)
class Reading:
    """What probing found of one array.

    Attributes:
        alignment: how its entries belong to units; None if no hypothesis fits.
        read: whether any local factor reads it.
        by_one: whether each entry that was tried is read by at most one unit.
    """

    alignment: AbstractAlignment | None
    read: bool
    by_one: bool = False


def read_arrays(probe: Probe) -> dict[str, Reading]:
    """Find how the units read each array of the model.

    Args:
        probe: of the model.

    Returns:
        One reading per array; arrays that the model needs as numbers cannot be moved, and count as
        read by nobody.
    """
    readings = {name: Reading(Shared(), read=False) for name in probe.joint.constants}
    read = [name for name, value in probe.arrays.items() if _is_read(probe, name, value.shape)]
    for name, value in probe.arrays.items():
        if name not in read:
            readings[name] = Reading(Shared(), read=False)
        elif value.ndim == 0:
            readings[name] = Reading(Shared(), read=True)
        else:
            readings[name] = _reading(probe, name, value.shape, read)
    return readings


def _is_read(probe: Probe, name: str, shape: tuple[int, ...]) -> bool:
    """Whether any unit moves when the array does, as a whole or in part: a share of it may not."""
    nobody = np.zeros(probe.axis.size, bool)
    return any(
        probe.respond(nobody, {name: (0, mask)}, point=point).units.any()
        for point in range(len(probe.points))
        for mask in parts(shape)
    )


def parts(shape: tuple[int, ...]) -> list[Bool[np.ndarray, " entries"]]:
    """Masks along the first axis of an array: all of it, and half of it."""
    length = shape[0] if shape else 1
    half = np.random.default_rng(4).permutation(length) < (length + 1) // 2
    return [np.ones(length, bool), half] if length > 1 else [np.ones(length, bool)]


def _reading(probe: Probe, name: str, shape: tuple[int, ...], read: Collection[str]) -> Reading:
    for alignment in _hypotheses(probe, name, shape, read):
        if _survives(probe, name, shape, alignment):
            return Reading(alignment, read=True)
    if points_at_entries(probe, name):
        return Reading(None, read=True)
    size = probe.axis.size
    by_one = False
    for axis, length in enumerate(shape):
        if axis > 0 and not size - _MOST_OFFSETS <= length <= size + _MOST_OFFSETS:
            continue
        touched = _touched_by_entries(probe, name, axis, length)
        window = _window(size, axis, length, touched)
        if window is not None and _survives(probe, name, shape, window):
            return Reading(window, read=True)
        # As many entries as units, each read by one: a window whose other offsets rarely show.
        alone = all(len(units) <= 1 for units in touched.values())
        by_one = by_one or (axis == 0 and alone and length > 1.5 * size)
    if _dense(size, _touched_by_entries(probe, name, 0, shape[0])):
        return Reading(Shared(), read=True)
    return Reading(None, read=True, by_one=by_one)


def points_at_entries(probe: Probe, name: str) -> bool:
    """Whether an array holds integers, each once, that the model uses as an index: into something.

    When such integers are moved some of them coincide, and what overwrites what looks like a
    pattern, so that none is looked for.
    """
    value = probe.data.integers.get(name)
    if value is None or value.dtype.kind not in "iu" or value.ndim != 1:
        return False
    return len(np.unique(np.asarray(value))) == value.shape[0]


def _hypotheses(
    probe: Probe, name: str, shape: tuple[int, ...], read: Collection[str]
) -> list[AbstractAlignment]:
    """Simple alignments that the shapes allow, most likely first."""
    size = probe.axis.size
    along = [Window(size, axis=axis) for axis, length in enumerate(shape) if length == size]
    by_read: list[Owned] = []
    by_other: list[Owned] = []
    for index, values in _indices(probe, shape[0]).items():
        for base in (0, 1):
            owner = values - base
            if index != name and owner.min() >= 0 and owner.max() < size:
                found = by_read if index in read else by_other
                found.append(Owned(index, base, owner))
    several: list[Window] = []
    for axis, length in enumerate(shape):
        if size > 1 and length > size and length % size == 0:
            times = length // size
            several.append(Window(size, axis, times, tuple(range(times))))
            several.append(Window(size, axis, 1, tuple(size * k for k in range(times))))
    return [*by_read, *along, *by_other, *several]


def _indices(probe: Probe, length: int) -> dict[str, np.ndarray]:
    """Integer vectors of this length."""
    every = {**probe.joint.arrays, **probe.joint.constants}
    return {
        n: np.asarray(v)
        for n, v in every.items()
        if v.ndim == 1 and v.shape[0] == length and np.asarray(v).dtype.kind in "iu"
    }


def _survives(
    probe: Probe, name: str, shape: tuple[int, ...], alignment: AbstractAlignment
) -> bool:
    """Whether moving what random halves of the units hold moves only those units."""
    generator = np.random.default_rng(1)
    nobody = np.zeros(probe.axis.size, bool)
    for trial in range(_TRIALS):
        half = generator.permutation(probe.axis.size) < (probe.axis.size + 1) // 2
        held = alignment.held(half, shape[alignment.axis])
        response = probe.respond(nobody, {name: (alignment.axis, held)}, point=trial)
        if (response.units & ~half).any():
            return False
    return True


def _touched_by_entries(probe: Probe, name: str, axis: int, length: int) -> dict[int, np.ndarray]:
    """For some entries along an axis, alone: the units that they touch."""
    nobody = np.zeros(probe.axis.size, bool)
    touched = {}
    for entry in interior(length):
        mask = np.arange(length) == entry
        alone = {name: (axis, mask)}
        found = [probe.respond(nobody, alone, point=number).units for number in range(_TRIALS)]
        touched[entry] = np.flatnonzero(np.any(found, axis=0))
    return touched


def interior(length: int) -> list[int]:
    """A few positions away from the ends, in pairs of neighbors, at uneven distances."""
    if length <= 8:
        return list(range(length))
    middle = length // 2
    places = {length // 3, length // 3 + 1, middle, middle + 1, (3 * length) // 4 + 1}
    return sorted(places | {length // 3 + 2})


def _window(size: int, axis: int, length: int, touched: Mapping[int, np.ndarray]) -> Window | None:
    """The window that explains which units some entries touch."""
    stride = max(round(length / size), 1)
    offsets = {int(entry - stride * unit) for entry, units in touched.items() for unit in units}
    if not offsets or max(offsets) - min(offsets) > min(_MOST_OFFSETS, max(size // 2, 1)):
        return None
    window = Window(size, axis, stride, tuple(sorted(offsets)))
    for entry, units in touched.items():
        expected = _readers(entry, window)
        if not set(units) <= set(expected):
            return None
    return window


def _readers(entry: int, window: Window) -> list[int]:
    pairs = (divmod(entry - offset, window.stride) for offset in window.offsets)
    return [n for n, remainder in pairs if remainder == 0 and 0 <= n < window.size]


def _dense(size: int, touched: Mapping[int, np.ndarray]) -> bool:
    """Whether each entry touches most of the units."""
    return all(len(units) > size // 2 for units in touched.values())


def held_by(
    readings: Mapping[str, Reading],
    shapes: Mapping[str, tuple[int, ...]],
    units: Bool[np.ndarray, " units"],
) -> dict[str, tuple[int, Bool[np.ndarray, " entries"]]]:
    """The entries of all arrays that no unit but these reads, by the readings."""
    entries = {}
    for name, reading in readings.items():
        if reading.read and reading.alignment is not None and name in shapes and shapes[name]:
            axis = reading.alignment.axis
            entries[name] = (axis, reading.alignment.held(units, shapes[name][axis]))
    return entries
