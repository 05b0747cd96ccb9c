"""Whether units that are given the same values have the same factor: the third condition."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int

from amortis.structure.additivity import unlike
from amortis.structure.alignment import AbstractAlignment, Owned, Window
from amortis.structure.joint import Joint
from amortis.structure.probe import Probe
from amortis.structure.reading import Reading

_RELATIVE, _TYPICAL = 1e-4, 1e-5
"""Gradients of equal factors differ by rounding: relative to themselves, and to the typical one."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """Units whose factors differ although they were given the same values.

    Attributes:
        units: which of them, in the order of the data; empty if there are none, or if it is a
            comparison that shows it, which has no gradient.
        sites: the sites whose terms differ; empty if none do.
        what: what was exchanged.
    """

    units: tuple[int, ...]
    sites: tuple[str, ...]
    what: str


def compare_units(probe: Probe, readings: Mapping[str, Reading]) -> Difference:
    """Exchange the units with all that they read, and compare their factors before and after.

    Units that read their own entries, or a group of them, are permuted, all at once and none left
    in its place. Units that read windows are shifted, and those that have all their neighbors are
    compared. In groups the entries are permuted as well: a group is a set. The terms of each site
    are compared on their own, so that sharp ones do not hide others.

    Args:
        probe: of the model.
        readings: how the arrays are read; none of them unclear.

    Returns:
        The difference, with no units if there is none.
    """
    alignments = {n: r.alignment for n, r in readings.items() if r.alignment is not None}
    if any(isinstance(a, Window) and not a.disjoint for a in alignments.values()):
        whats = ["windows of rows were shifted along the data"] * 2
        exchanges = [_shifted(probe, alignments, shift) for shift in _shifts(probe.axis.size)]
    else:
        whats = ["rows were exchanged together with their latents"]
        exchanges = [_permuted(probe, alignments)]
    for index in sorted({a.index for a in alignments.values() if isinstance(a, Owned)}):
        whats.append("the rows of groups were put in another order")
        exchanges.append(_within_groups(probe, alignments, index))
    for what, exchange in zip(whats, exchanges, strict=False):
        difference = _difference(probe, exchange, what)
        if difference.sites:
            return difference
    return Difference((), (), "")


@dataclasses.dataclass(frozen=True)
class _Exchange:
    """Unit n gets what unit `source[n]` had; `compared` says which units to compare."""

    source: Int[np.ndarray, " units"]
    compared: Bool[np.ndarray, " units"]
    arrays: Mapping[str, np.ndarray]
    joint: Joint


def _permuted(probe: Probe, alignments: Mapping[str, AbstractAlignment]) -> _Exchange:
    size = probe.axis.size
    order = np.random.default_rng(2).permutation(size)
    source = np.empty(size, int)
    source[order] = np.roll(order, 1)  # one cycle through all units: none stays where it is
    exchange = _relabeled(probe, alignments, source)
    arrays, compared = dict(exchange.arrays), np.ones(size, bool)
    for name, alignment in alignments.items():
        if not isinstance(alignment, Window):
            continue
        length = arrays[name].shape[alignment.axis]
        rows = np.arange(length)
        for offset in alignment.offsets:
            to, of = (alignment.stride * n + offset for n in (np.arange(size), source))
            there = (to >= 0) & (to < length) & (of >= 0) & (of < length)
            rows[to[there]] = of[there]
            compared &= there
        arrays[name] = np.take(arrays[name], rows, axis=alignment.axis)
    return dataclasses.replace(exchange, arrays=arrays, compared=compared)


def _relabeled(
    probe: Probe, alignments: Mapping[str, AbstractAlignment], source: Int[np.ndarray, " units"]
) -> _Exchange:
    """Give unit n the group of unit `source[n]`, by the integers that name the groups."""
    target = np.argsort(source)  # where the content of each unit goes
    arrays = {n: np.asarray(v) for n, v in probe.arrays.items()}
    constants = dict(probe.joint.constants)
    for alignment in alignments.values():
        if not isinstance(alignment, Owned):
            continue
        index = target[alignment.owner] + alignment.base
        if alignment.index in constants:
            constants[alignment.index] = index.astype(constants[alignment.index].dtype)
        else:
            arrays[alignment.index] = index.astype(arrays[alignment.index].dtype)
    joint = _with_constants(probe.joint, constants)
    return _Exchange(source, np.ones(len(source), bool), arrays, joint)


def _with_constants(joint: Joint, constants: dict[str, np.ndarray]) -> Joint:
    """The density with other constants; the same object if there are none."""
    return dataclasses.replace(joint, constants=constants) if constants else joint


def _within_groups(
    probe: Probe, alignments: Mapping[str, AbstractAlignment], index: str
) -> _Exchange:
    arrays = {n: np.asarray(v) for n, v in probe.arrays.items()}
    constants = dict(probe.joint.constants)
    owned = [n for n, a in alignments.items() if isinstance(a, Owned) and a.index == index]
    order = np.random.default_rng(3).permutation(arrays[owned[0]].shape[0])
    for name in {*owned, index} & set(arrays):
        arrays[name] = np.take(arrays[name], order, axis=0)
    if index in constants:
        constants[index] = constants[index][order]
    size = probe.axis.size
    joint = _with_constants(probe.joint, constants)
    return _Exchange(np.arange(size), np.ones(size, bool), arrays, joint)


def _shifts(size: int) -> tuple[int, ...]:
    return (1, max(size // 3, 2)) if size > 6 else (1,)


def _shifted(probe: Probe, alignments: Mapping[str, AbstractAlignment], shift: int) -> _Exchange:
    size = probe.axis.size
    source = np.roll(np.arange(size), shift)
    exchange = _relabeled(probe, alignments, source)
    arrays = dict(exchange.arrays)
    compared = np.arange(size) >= shift  # the others came around the end
    for name, alignment in alignments.items():
        if not isinstance(alignment, Window):
            continue
        length = arrays[name].shape[alignment.axis]
        arrays[name] = np.roll(arrays[name], alignment.stride * shift, axis=alignment.axis)
        edges = alignment.edges(length)
        compared &= ~edges & ~edges[source]
        # Nothing that came around the end may be read.
        lowest = np.arange(size) * alignment.stride + min(alignment.offsets)
        compared &= lowest >= alignment.stride * shift
    return dataclasses.replace(exchange, arrays=arrays, compared=compared)


def _difference(probe: Probe, exchange: _Exchange, what: str) -> Difference:
    """What was not carried along: gradients by unit and site; log densities by site."""
    differing: dict[str, Bool[np.ndarray, " units"]] = {}
    jumping: dict[str, None] = {}
    for number in probe.at_points(0):
        point = probe.points[number]
        moved = {n: np.take(np.asarray(v), exchange.source, axis=0) for n, v in point.z.items()}
        before = probe.at_sites(point, probe.arrays, probe.joint)
        after = probe.at_sites(point._replace(z=moved), exchange.arrays, exchange.joint)
        for site, latents in before.gradients.items():
            where = differing.setdefault(site, np.zeros(probe.axis.size, bool))
            for name, old in latents.items():
                expected, new = old[exchange.source], after.gradients[site][name]
                size = np.abs(expected) + np.abs(new)
                slack = _RELATIVE * size + _TYPICAL * float(np.median(np.abs(old)))
                with np.errstate(invalid="ignore"):
                    unlike_there = (np.abs(new - expected) > slack).any(axis=1)
                where |= unlike_there & exchange.compared
        if exchange.compared.all():
            jumping |= dict.fromkeys(unlike(before.elements, after.elements))
    units = np.any(list(differing.values()), axis=0)
    sites = [site for site, where in differing.items() if where.any()] or list(jumping)
    return Difference(tuple(np.flatnonzero(units).tolist()), tuple(sites), what)
