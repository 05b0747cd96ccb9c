"""Which local latents touch each other, by site and offset."""

import itertools
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool

from amortis.structure.moved import Moved
from amortis.structure.probe import Probe
from amortis.structure.reading import interior
from amortis.structure.verdict import Coupling

_SAMPLED = 6
"""Units that are moved alone, besides the two ends."""


def find_couplings(
    probe: Probe, subset: Bool[np.ndarray, " units"], point: int, term: str | None
) -> tuple[Coupling, ...]:
    """Describe the terms that units share.

    Args:
        probe: of the model.
        subset: units that moved a unit outside of them.
        point: at which point they did.
        term: the site whose term showed it, where the others drown it; None if all did.

    Returns:
        One coupling per pair of sites; the pair of units that `subset` gave away, where the units
        that were moved alone show none.
    """
    alone = sorted({0, probe.axis.size - 1, *interior(probe.axis.size)[:_SAMPLED]})
    found = []
    for site in probe.axis.sites:
        touched = {unit: _touched(probe, unit, site, term) for unit in alone}
        for other in probe.axis.sites:
            coupling = _summary(site, other, touched, probe.axis.size)
            if coupling is not None:
                found.append(coupling)
    return tuple(found) or (_one_pair(probe, subset, point, term),)


def find_jump(
    probe: Probe, subset: Bool[np.ndarray, " units"], point: int, turn: int
) -> Coupling | None:
    """A pair of units that a term compares, or sees together in another way without derivatives.

    Args:
        probe: of the model.
        subset: units whose move and that of all others do not add up.
        point: at which point they do not.
        turn: how the values to move to were turned around.

    Returns:
        The pair, found by halving both sides; None if latents alone show nothing.
    """

    def jumps(one: list[int], other: list[int]) -> bool:
        these, those = (
            Moved(np.isin(np.arange(probe.axis.size), side), {}) for side in (one, other)
        )
        return bool(probe.jumps(these, those, point, turn))

    one, other = (np.flatnonzero(side).tolist() for side in (subset, ~subset))
    if not jumps(one, other):
        return None
    # A term of many units, such as whether all are sorted, may show in neither half alone.
    one = _halved(one, lambda half: jumps(half, other))
    other = _halved(other, lambda half: jumps(one, half))
    pair = min(itertools.product(one[:8], other[:8]), key=lambda pair: abs(pair[1] - pair[0]))
    first = next(iter(probe.axis.sites))
    return Coupling(first, first, (), abs(pair[1] - pair[0]), pair)


def _halved(units: list[int], shows: Callable[[list[int]], bool]) -> list[int]:
    while len(units) > 1:
        halves = units[: len(units) // 2], units[len(units) // 2 :]
        found = next((half for half in halves if shows(half)), None)
        if found is None:
            return units
        units = found
    return units


def _touched(
    probe: Probe, unit: int, site: str, term: str | None
) -> tuple[dict[str, set[int]], bool]:
    """The other units' sites that move with one unit's site, and whether more of them might."""
    mask = np.arange(probe.axis.size) == unit
    touched: dict[str, set[int]] = {name: set() for name in probe.axis.sites}
    unsure = False
    for point in range(len(probe.points)):
        response = probe.respond(mask, {}, point=point, sites={site}, term=term)
        for name, units in response.strong.items():
            touched[name] |= set(np.flatnonzero(units).tolist()) - {unit}
        unsure |= bool(response.weak.any())
    return touched, unsure


def _summary(
    site: str, other: str, touched: dict[int, tuple[dict[str, set[int]], bool]], size: int
) -> Coupling | None:
    pairs = [(unit, m) for unit, (by_site, _) in touched.items() for m in sorted(by_site[other])]
    if not pairs:
        return None
    offsets = sorted({m - unit for unit, m in pairs})
    regular = all(
        by_site[other] == {unit + o for o in offsets if 0 <= unit + o < size}
        for unit, (by_site, _) in touched.items()
    )
    most = max(len(by_site[other]) for by_site, _ in touched.values())
    unsure = any(weak for _, weak in touched.values())
    far = max(abs(o) for o in offsets)
    unbounded = unsure or (most > size // 2 and size > 3) or (not regular and far > size // 4)
    return Coupling(
        site,
        other,
        offsets=tuple(offsets) if regular and not unbounded else (),
        reach=None if unbounded else far,
        example=min(pairs, key=lambda pair: abs(pair[1] - pair[0])),
    )


def _one_pair(
    probe: Probe, subset: Bool[np.ndarray, " units"], point: int, term: str | None
) -> Coupling:
    """Halve the subset until one unit of it is left that moves a unit outside."""
    outside = np.flatnonzero(probe.respond(subset, {}, point=point, term=term).units & ~subset)
    other = int(outside[0])
    left = np.flatnonzero(subset)
    while len(left) > 1:
        half = left[: len(left) // 2]
        mask = np.isin(np.arange(probe.axis.size), half)
        moved = probe.respond(mask, {}, point=point, term=term).units[other]
        left = half if moved else left[len(left) // 2 :]
    unit = int(left[0])
    mask = np.arange(probe.axis.size) == unit
    for site, name in itertools.product(probe.axis.sites, repeat=2):
        response = probe.respond(mask, {}, point=point, sites={site}, term=term)
        if response.strong[name][other]:
            return Coupling(site, name, (), abs(other - unit), (unit, other))
    first = next(iter(probe.axis.sites))
    return Coupling(first, first, (), abs(other - unit), (unit, other))
