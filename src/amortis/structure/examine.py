"""`examine`: put the probes together into a verdict on one axis, and on all of them."""

import dataclasses
import time
from collections.abc import Mapping

import numpy as np

from amortis.structure.alignment import Owned, Shared, Window
from amortis.structure.couplings import find_couplings, find_jump
from amortis.structure.joint import Joint, LatentAxis
from amortis.structure.objections import is_shared, objection_to, stray_index, undecided
from amortis.structure.points import Prior
from amortis.structure.probe import Probe
from amortis.structure.prove import proved_units
from amortis.structure.reading import Reading, interior, parts, read_arrays
from amortis.structure.same_function import Difference, compare_units
from amortis.structure.separation import Separation, separate
from amortis.structure.verdict import Coupling, Evidence, Input, Kind, Verdict

_WHAT = {
    Kind.POINTWISE: "its own row only",
    Kind.WINDOWED: "rows at fixed offsets from its own only",
    Kind.GROUPED: "the rows of its own group only",
}


def examine(joint: Joint, local: str | None = None) -> Verdict:
    r"""Decide whether there is an ideal inference function, and on which inputs.

    Args:
        joint: the model's log joint density and data.
        local: name of the plate or latent site that holds the locals, where the user gave one.

    Returns:
        The verdict on the local plate, with those on other plates.
    """
    started = time.perf_counter()
    axes = [a for a in joint.axes if local is None or local == a.name or local in a.sites]
    prior = Prior(joint)  # compiled once for all axes
    found = [_on_axis(joint, axis, prior, forced=local is not None) for axis in axes]
    local_ones = [f for f in found if not f.is_global]
    if not local_ones:
        return _no_locals(joint, time.perf_counter() - started)
    first = max(local_ones, key=lambda f: (f.declared, f.verdict.size)).verdict
    # Vectors that nobody declared as a plate, and that own no data, are globals.
    plates = [f for f in local_ones if f.declared or f.verdict.inputs]
    others = tuple(f.verdict for f in plates if f.verdict is not first)
    seconds = time.perf_counter() - started
    return dataclasses.replace(first, others=others, seconds=seconds)


@dataclasses.dataclass(frozen=True)
class _Found:
    """A verdict on one axis.

    Attributes:
        verdict: the verdict.
        declared: whether a plate, a `scan` or the user says that the axis has units.
        is_global: whether its entries are rather a vector of globals.
    """

    verdict: Verdict
    declared: bool
    is_global: bool = False


def _no_locals(joint: Joint, seconds: float) -> Verdict:
    reason = f"the latents are {', '.join(joint.latents)}; none has entries that read rows of data"
    if not joint.latents:
        reason = "the model has no latents"
    return Verdict.no_locals(reason, seconds)


def _on_axis(joint: Joint, axis: LatentAxis, prior: Prior, *, forced: bool) -> _Found:
    """The verdict on one axis; `forced` if the user says that its entries are locals."""
    declared = axis.declared or forced
    try:
        probe = Probe(joint, axis, prior)
    except FloatingPointError as error:
        return _Found(undecided(axis, f"{error}"), declared)
    if axis.size == 1:
        reason = "there is a single unit, and so nothing to compare it with"
        return _Found(undecided(axis, reason), declared)
    readings = _without_indices(read_arrays(probe))
    tested = separate(probe, readings)
    if tested.subset is not None:
        verdict = _violated(probe, readings, tested)
        is_global = verdict.kind is Kind.COUPLED and not forced and _is_global(probe, readings)
        return _Found(verdict, declared, is_global)
    problem = objection_to(probe, readings, tested.weak)
    return _Found(problem or _separated(probe, readings), declared)


def _without_indices(readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """The same, where integer arrays that name groups count as read by nobody."""
    indices = {r.alignment.index for r in readings.values() if isinstance(r.alignment, Owned)}
    nobody = Reading(Shared(), read=False)
    return {n: nobody if n in indices else r for n, r in readings.items()}


def _violated(probe: Probe, readings: Mapping[str, Reading], tested: Separation) -> Verdict:
    axis, subset, point, term = probe.axis, tested.subset, tested.point, tested.term
    assert subset is not None  # only then is there a violation
    if tested.turn is not None:
        pair = find_jump(probe, subset, point, tested.turn)
        by_latents = pair is not None
    else:
        pair = None
        by_latents = (probe.respond(subset, {}, point=point, term=term).units & ~subset).any()
    if not by_latents:
        read = [name for name, reading in readings.items() if reading.read]
        stray = (stray_index(probe, name) for name in read if probe.arrays[name].ndim)
        reason = "some units read entries of the data that the others' pattern does not explain"
        return undecided(axis, next((found for found in stray if found is not None), reason))
    couplings = find_couplings(probe, subset, point, term) if pair is None else (pair,)
    reasons = tuple(dict.fromkeys(_coupling_reason(c) for c in couplings))
    if pair is not None:
        reasons = (f"{pair}: {term!r} compares or rounds them, which has no derivative",)
    return Verdict(
        Kind.COUPLED,
        axis.name,
        axis.size,
        tuple(axis.sites),
        _inputs(readings),
        reasons,
        Evidence.PROBED,
        minibatch=False,
        couplings=couplings,
    )


def _coupling_reason(coupling: Coupling) -> str:
    reach = "the coupling has no finite reach"
    if coupling.reach is not None:
        reach = f"the coupling reaches {coupling.reach} unit{'s' if coupling.reach > 1 else ''} far"
    return f"{coupling}; {reach}"


def _is_global(probe: Probe, readings: Mapping[str, Reading]) -> bool:
    """Whether units that touch each other are regression weights and the like, and no locals.

    They all read the same rows; or no plate says that they are alike, and no array has one entry
    for each.
    """
    read = {
        n: probe.arrays[n].shape for n, r in readings.items() if r.read and probe.arrays[n].ndim
    }
    if any(shape[0] == probe.axis.size for shape in read.values()):
        return False
    all_shared = bool(read) and all(is_shared(readings[n]) for n in read)
    return all_shared or not probe.axis.declared


def _separated(probe: Probe, readings: Mapping[str, Reading]) -> Verdict:
    """The verdict where no two units touch and every array's alignment is known."""
    axis = probe.axis
    difference = compare_units(probe, readings)
    partial = _partly_touched(probe)
    if difference.sites and partial:
        return undecided(axis, f"units touch single entries of the other latents {partial}")
    if difference.sites:
        return _hidden(probe, difference)
    kind = _kind(readings)
    if partial and kind is not Kind.POINTWISE:
        return undecided(axis, f"units touch single entries of the other latents {partial}")
    inputs = _inputs(readings)
    edges = np.zeros(axis.size, bool)
    for name, reading in readings.items():
        if reading.read and isinstance(reading.alignment, Window):
            edges |= reading.alignment.edges(probe.arrays[name].shape[reading.alignment.axis])
    proved = proved_units(probe, readings)
    return Verdict(
        kind,
        axis.name,
        axis.size,
        tuple(axis.sites),
        inputs,
        _reasons(probe, kind, inputs),
        Evidence.PROVED if proved else Evidence.PROBED,
        minibatch=True,
        proved_units=proved,
        edges=tuple(np.flatnonzero(edges).tolist()),
    )


def _kind(readings: Mapping[str, Reading]) -> Kind:
    alignments = [r.alignment for r in readings.values() if r.read]
    if any(isinstance(a, Owned) for a in alignments):
        return Kind.GROUPED
    windows = [a for a in alignments if isinstance(a, Window)]
    if any(not a.disjoint for a in windows):
        return Kind.WINDOWED
    return Kind.GROUPED if any(not a.pointwise for a in windows) else Kind.POINTWISE


def _inputs(readings: Mapping[str, Reading]) -> tuple[Input, ...]:
    """The arrays that units read in a known way."""
    return tuple(
        _input(name, reading.alignment)
        for name, reading in readings.items()
        if reading.read and reading.alignment is not None and not is_shared(reading)
    )


def _input(name: str, alignment: object) -> Input:
    if isinstance(alignment, Owned):
        return Input(name, index=alignment.index, base=alignment.base, axis=alignment.axis)
    assert isinstance(alignment, Window)  # shared arrays are no inputs
    return Input(name, alignment.offsets, alignment.stride, alignment.axis)


def _reasons(probe: Probe, kind: Kind, inputs: tuple[Input, ...]) -> tuple[str, ...]:
    sites = ", ".join(probe.axis.sites)
    reasons = [f"no term touches {sites} of two units"]
    reasons.append(f"given the globals, each reads {_WHAT[kind] if inputs else 'no data'}")
    reasons.append("units with the same values have the same factor")
    unread = _unread(probe)
    if unread:
        reasons.append(f"the model does not use {', '.join(unread)}, which it was given")
    return tuple(reasons)


def _unread(probe: Probe) -> list[str]:
    """Arrays that no term of the model reads, at two points, moved as a whole and by half."""
    nobody = np.zeros(probe.axis.size, bool)
    names = []
    for name, value in probe.arrays.items():
        moved = [
            (number, probe.respond(nobody, {name: (0, mask)}, point=number).terms)
            for number in range(min(len(probe.points), 2))
            for mask in parts(value.shape)
        ]
        # Infinite terms are equal whatever is read.
        if all(
            all(np.isfinite(v) and v == probe.terms(number)[site] for site, v in terms.items())
            for number, terms in moved
        ):
            names.append(name)
    return names


def _hidden(probe: Probe, difference: Difference) -> Verdict:
    named = ", ".join(repr(site) for site in difference.sites)
    units = difference.units
    shown = ", ".join(str(n) for n in units[:3]) + (", …" if len(units) > 3 else "")
    changed = f"the factors of {len(units)} of {probe.axis.size} units changed ({shown})"
    if not units:
        changed = "the log density changed, though no gradient did"
    reason = (
        f"when {difference.what}, {changed}: "
        f"{named} has constants of its own per row, which are not data"
    )
    return undecided(probe.axis, reason, kind=Kind.HIDDEN)


def _partly_touched(probe: Probe) -> str | None:
    """A latent off the axis whose entries each touch one unit, as a nested plate's do."""
    nobody, size = np.zeros(probe.axis.size, bool), probe.axis.size
    for name, shape in probe.joint.latents.items():
        if name in probe.axis.sites or not shape or shape[0] < 2 or size < 3:
            continue
        touched = []
        for entry in interior(shape[0]):
            alone = {name: np.arange(shape[0]) == entry}
            touched.append(int(probe.respond(nobody, {}, point=1, fixed=alone).units.sum()))
        if max(touched) == 1:
            return name
    return None
