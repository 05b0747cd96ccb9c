"""`proved_units`: whether the sparsity of a copy of the model proves what was probed."""

import dataclasses
import math
import warnings
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from amortis.structure.alignment import AbstractAlignment, Owned, Shared, Window
from amortis.structure.probe import Probe
from amortis.structure.reading import Reading
from amortis.structure.smoothing import smoothed

_UNITS, _ENTRIES_EACH = 64, 3
"""Units of the copy, where they fit, and entries per group."""

_MOST_NUMBERS = 1000
"""Latents and data of a copy that is analysed."""


def proved_units(probe: Probe, readings: Mapping[str, Reading]) -> int:
    """Units of a copy in which no edge exists, at any value, that contradicts the readings.

    The model is traced with fewer units, and asdex follows which inputs reach which entry of the
    Hessian through its jaxpr: an over-approximation that holds for all values of latents and data.
    Comparisons, rounding and kinks count as dependences (`smoothed`).
    Integer data have no derivative; for them, for the number of units, and for whether all units
    have the same function, probing speaks.

    Args:
        probe: of the model.
        readings: how the arrays are read; none unclear.

    Returns:
        How many units the copy had. Zero if asdex is not installed, cannot follow the model, or
        finds more than is there; or if the model cannot be run with fewer units.
    """
    size = probe.axis.size
    span = max((_span(r.alignment) for r in readings.values()), default=0)
    each = math.ceil(_numbers(_copy(probe, readings, min(8 + 2 * span, size))) / 8)
    few = min(max(_UNITS, 6 + 2 * span), _MOST_NUMBERS // each, size)
    for units in dict.fromkeys((few, size)):
        if units > 1 and _agrees(probe, _copy(probe, readings, units)):
            return units
    return 0


@dataclasses.dataclass(frozen=True)
class _Copy:
    """A copy of the model: shapes of latents, data, and the alignment of each real array."""

    units: int
    latents: Mapping[str, tuple[int, ...]]
    floats: Mapping[str, Array]
    others: Mapping[str, Array | np.ndarray]
    alignments: Mapping[str, AbstractAlignment]


def _copy(probe: Probe, readings: Mapping[str, Reading], units: int) -> _Copy:
    """The model with its first units only, and with a few entries of each group."""
    latents = dict(probe.joint.latents)
    for name, axis in probe.axis.sites.items():
        latents[name] = (*latents[name][:axis], units, *latents[name][axis + 1 :])
    arrays: dict[str, Array | np.ndarray] = {**probe.data.floats, **probe.data.integers}
    arrays |= probe.joint.constants
    alignments: dict[str, AbstractAlignment] = {}
    kept = _kept(readings, units)
    for name, reading in readings.items():
        alignment = reading.alignment or Shared()
        if isinstance(alignment, Owned):
            entries = kept[alignment.index]
            alignments[name] = dataclasses.replace(alignment, owner=alignment.owner[entries])
            arrays[name] = jnp.asarray(arrays[name])[entries]
        elif isinstance(alignment, Window):
            kept_window, entries = _first(alignment, arrays[name].shape[alignment.axis], units)
            alignments[name] = kept_window
            arrays[name] = jnp.take(jnp.asarray(arrays[name]), entries, axis=alignment.axis)
        else:
            alignments[name] = alignment
    for index, entries in kept.items():
        arrays[index] = arrays[index][entries]
    floats = {n: jnp.asarray(arrays[n]) for n in probe.data.floats}
    others = {n: v for n, v in arrays.items() if n not in floats}
    return _Copy(units, latents, floats, others, alignments)


def _first(alignment: Window, length: int, units: int) -> tuple[Window, Int[np.ndarray, " kept"]]:
    """The alignment of the first units, and the entries that are left."""
    if alignment.stride == 1 and alignment.disjoint:
        places = [(offset // alignment.size) for offset in alignment.offsets]
        entries = [np.arange(units) + k * alignment.size for k in places]
        offsets = tuple(k * units for k in range(len(places)))
        return Window(units, alignment.axis, 1, offsets), np.concatenate(entries)
    left = length - alignment.stride * (alignment.size - units)
    return dataclasses.replace(alignment, size=units), np.arange(left)


def _span(alignment: AbstractAlignment | None) -> int:
    if not isinstance(alignment, Window) or alignment.disjoint:
        return 0
    return max(max(alignment.offsets), 0) - min(min(alignment.offsets), 0)


def _kept(readings: Mapping[str, Reading], units: int) -> dict[str, Int[np.ndarray, " kept"]]:
    """For each index of groups, a few entries of each of the first groups."""
    kept = {}
    for reading in readings.values():
        alignment = reading.alignment
        if isinstance(alignment, Owned):
            owner = alignment.owner
            order = np.argsort(owner, kind="stable")
            first = np.searchsorted(owner[order], owner[order], side="left")
            early = (np.arange(len(owner)) - first < _ENTRIES_EACH) & (owner[order] < units)
            kept[alignment.index] = np.sort(order[early])
    return kept


def _agrees(probe: Probe, copy: _Copy) -> bool:
    """Whether each edge of the copy's Hessian that holds a unit is one that the readings allow."""
    try:
        import asdex
    except ImportError:
        return False
    sites = tuple(copy.latents)
    if _numbers(copy) > _MOST_NUMBERS:
        return False
    shapes = [*copy.latents.values(), *(v.shape for v in copy.floats.values())]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def total(flat: Float[Array, " numbers"]) -> Array:
        parts = [
            jnp.reshape(part, shape)
            for part, shape in zip(jnp.split(flat, ends[:-1]), shapes, strict=True)
        ]
        latents = dict(zip(sites, parts, strict=False))
        arrays = dict(zip(copy.floats, parts[len(sites) :], strict=True))
        terms = probe.joint.terms(latents, {**arrays, **copy.others})
        return sum(terms.values(), jnp.zeros(()))

    flat = jnp.zeros(int(ends[-1]))
    try:
        # The model is the user's and asdex refuses what it cannot follow: whatever either raises
        # means that nothing is proved here, and the probe's answer stands as probed.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pattern = asdex.hessian_sparsity(smoothed(total, flat), flat)
    except Exception:
        return False
    allowed = _allowed(probe, copy, shapes)
    rows, columns = np.asarray(pattern.rows), np.asarray(pattern.cols)
    return bool(allowed[rows, columns].all() and allowed[columns, rows].all())


def _numbers(copy: _Copy) -> int:
    numbers = sum(math.prod(shape) for shape in copy.latents.values())
    return numbers + sum(value.size for value in copy.floats.values())


def _allowed(
    probe: Probe, copy: _Copy, shapes: list[tuple[int, ...]]
) -> Bool[np.ndarray, "numbers numbers"]:
    """Edges between numbers that no reading forbids, by the units that each number goes with."""
    together: list[np.ndarray] = []
    is_latent: list[np.ndarray] = []
    every = np.ones(copy.units, bool)
    for name, shape in copy.latents.items():
        axis = probe.axis.sites.get(name)
        unit = np.eye(copy.units, dtype=bool)
        for where in np.ndindex(*shape):
            together.append(every if axis is None else unit[where[axis]])
            is_latent.append(np.asarray(axis is not None))
    for name, value in copy.floats.items():
        alignment = copy.alignments[name]
        readers = (
            [every] if isinstance(alignment, Shared) else _readers(alignment, value.shape, copy)
        )
        for where in np.ndindex(*value.shape):
            entry = 0 if isinstance(alignment, Shared) else where[alignment.axis]
            together.append(readers[entry])
            is_latent.append(np.asarray(False))
    sets, local = np.stack(together), np.stack(is_latent)
    shared = (sets.astype(int) @ sets.T.astype(int)) > 0
    # Two numbers that are no unit's latents may always touch.
    return shared | (~local[:, None] & ~local[None, :])


def _readers(
    alignment: AbstractAlignment, shape: tuple[int, ...], copy: _Copy
) -> list[Bool[np.ndarray, " units"]]:
    """For each entry along the alignment's axis, the units that may read it."""
    length = shape[alignment.axis]
    units = np.arange(copy.units)
    others = [alignment.held(units != n, length) for n in units]
    # An entry that the other units do not hold among themselves is read by unit n as well.
    return [np.array([not others[n][entry] for n in units]) for entry in range(length)]
