"""Whether units that are given the same values have the same factor: the third condition."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from amortis.structure.alignment import AbstractAlignment, Owned, Window
from amortis.structure.joint import Joint
from amortis.structure.probe import Probe
from amortis.structure.reading import Reading

_RELATIVE, _TYPICAL = 1e-4, 1e-5
"""Gradients of equal factors differ by rounding: relative to themselves, and to the typical one."""

_POINTS = 2


@dataclasses.dataclass(frozen=True)
class Difference:
    """Units whose factors differ although they were given the same values.

    Attributes:
        units: which of them, in the order of the data; empty if there are none.
        sites: the sites whose terms differ.
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
        tests = [_shifted(probe, alignments, shift) for shift in _shifts(probe.axis.size)]
        what = "windows of rows were shifted along the data"
    else:
        tests = [_permuted(probe, alignments)]
        what = "rows were exchanged together with their latents"
    found = [_differing(probe, test) for test in tests]
    if not _any(found):
        indices = {a.index for a in alignments.values() if isinstance(a, Owned)}
        found = [_differing(probe, _within_groups(probe, alignments, i)) for i in sorted(indices)]
        what = "the rows of groups were put in another order"
    if not _any(found):
        return Difference((), (), "")
    units = np.any([np.any(list(by_site.values()), axis=0) for by_site in found], axis=0)
    sites = dict.fromkeys(s for by_site in found for s, where in by_site.items() if where.any())
    return Difference(tuple(np.flatnonzero(units).tolist()), tuple(sites), what)


def _any(found: list[dict[str, Bool[np.ndarray, " units"]]]) -> bool:
    return any(where.any() for by_site in found for where in by_site.values())


@dataclasses.dataclass(frozen=True)
class _Exchange:
    """Unit n gets what unit `source[n]` had; `compared` says which units to compare."""

    source: Int[np.ndarray, " units"]
    compared: Bool[np.ndarray, " units"]
    arrays: Mapping[str, Array]
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
        arrays[name] = jnp.take(arrays[name], rows, axis=alignment.axis)
    return dataclasses.replace(exchange, arrays=arrays, compared=compared)


def _relabeled(
    probe: Probe, alignments: Mapping[str, AbstractAlignment], source: Int[np.ndarray, " units"]
) -> _Exchange:
    """Give unit n the group of unit `source[n]`, by the integers that name the groups."""
    target = np.argsort(source)  # where the content of each unit goes
    arrays, constants = dict(probe.arrays), dict(probe.joint.constants)
    for alignment in alignments.values():
        if not isinstance(alignment, Owned):
            continue
        index = target[alignment.owner] + alignment.base
        if alignment.index in constants:
            constants[alignment.index] = index.astype(constants[alignment.index].dtype)
        else:
            arrays[alignment.index] = jnp.asarray(index.astype(arrays[alignment.index].dtype))
    joint = _with_constants(probe.joint, constants)
    return _Exchange(source, np.ones(len(source), bool), arrays, joint)


def _with_constants(joint: Joint, constants: dict[str, np.ndarray]) -> Joint:
    """The density with other constants; the same object if there are none."""
    return dataclasses.replace(joint, constants=constants) if constants else joint


def _within_groups(
    probe: Probe, alignments: Mapping[str, AbstractAlignment], index: str
) -> _Exchange:
    arrays, constants = dict(probe.arrays), dict(probe.joint.constants)
    owned = [n for n, a in alignments.items() if isinstance(a, Owned) and a.index == index]
    order = np.random.default_rng(3).permutation(arrays[owned[0]].shape[0])
    for name in {*owned, index} & set(arrays):
        arrays[name] = jnp.take(arrays[name], order, axis=0)
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
        arrays[name] = jnp.roll(arrays[name], alignment.stride * shift, axis=alignment.axis)
        edges = alignment.edges(length)
        compared &= ~edges & ~edges[source]
        # Nothing that came around the end may be read.
        lowest = np.arange(size) * alignment.stride + min(alignment.offsets)
        compared &= lowest >= alignment.stride * shift
    return dataclasses.replace(exchange, arrays=arrays, compared=compared)


def _differing(probe: Probe, exchange: _Exchange) -> dict[str, Bool[np.ndarray, " units"]]:
    """By site, units whose gradient was not carried along."""
    differing: dict[str, Bool[np.ndarray, " units"]] = {}
    for point in probe.points[:_POINTS]:
        moved = {n: jnp.take(v, exchange.source, axis=0) for n, v in point.z.items()}
        before = probe.site_gradients(point, probe.arrays, probe.joint)
        after = probe.site_gradients(point._replace(z=moved), exchange.arrays, exchange.joint)
        for site, latents in before.items():
            where = differing.setdefault(site, np.zeros(probe.axis.size, bool))
            for name, old in latents.items():
                expected, new = old[exchange.source], after[site][name]
                size = np.abs(expected) + np.abs(new)
                slack = _RELATIVE * size + _TYPICAL * float(np.median(np.abs(old)))
                with np.errstate(invalid="ignore"):
                    unlike = (np.abs(new - expected) > slack).any(axis=1)
                where |= unlike & exchange.compared
    return differing
