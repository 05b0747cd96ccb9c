"""Which units and which entries of the data a verdict's drawing shows, and who reads which."""

import dataclasses
import itertools

from amortis.structure import Coupling, Input, Kind, Verdict

_MOST_UNITS = 7

_MOST_OFFSETS = 3
"""Entries that are drawn of one unit, where units own more than one."""

_ROWS_OF_GROUPS = (2, 1)
"""How many entries are drawn of a neighboring group, in turn; unit n has three."""

_SPREAD = 0.25
"""From one entry of a group to the next, in columns."""


@dataclasses.dataclass(frozen=True)
class ShownUnits:
    """Units beside each other, one per column.

    Attributes:
        offsets: relative to unit n, in order; zero is among them.
        origin: the number of unit n, where the drawing is of certain units; None if it is of any.
    """

    offsets: tuple[int, ...]
    origin: int | None = None

    def index(self, entry: int = 0, stride: int = 1) -> str:
        """How entry `stride * n + entry` of an array is written."""
        if self.origin is not None:
            return str(stride * self.origin + entry)
        step = "n" if stride == 1 else f"{stride}n"
        return step if entry == 0 else f"{step}{'+' if entry > 0 else '−'}{abs(entry)}"

    def gaps(self) -> tuple[float, ...]:
        """Columns between which units are left out, as the column halfway."""
        pairs = enumerate(itertools.pairwise(self.offsets))
        return tuple(i + 0.5 for i, (left, right) in pairs if right > left + 1)


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry of the data.

    Attributes:
        position: its place in columns.
        index: as it is written; empty for a row of a group.
        readers: offsets of the units that read it.
    """

    position: float
    index: str
    readers: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ShownArrays:
    """Arrays that units read in one and the same way.

    Attributes:
        names: of the arrays.
        pattern: how they are read.
        entries: those that are drawn.
        gaps: columns at which entries are left out.
    """

    names: tuple[str, ...]
    pattern: Input
    entries: tuple[Entry, ...]
    gaps: tuple[float, ...]

    @property
    def bunched(self) -> bool:
        """Whether units own several entries, or may."""
        return _bunched(self.pattern)


def units_of(verdict: Verdict) -> ShownUnits:
    """Choose the units: n, its neighbors, those it touches, and where the entries it reads are.

    Args:
        verdict: on at least one unit.

    Returns:
        At most seven units.
    """
    size, origin = max(verdict.size, 1), None
    wanted = {0} | {o for pattern in _patterns(verdict) for o in _columns(pattern)}
    wanted |= {o for coupling in verdict.couplings for o in coupling.offsets}
    example = _example(verdict.couplings)
    if example is not None:
        origin = min(example)
        wanted.add(max(example) - origin)
    for neighbor in (1, -1):
        if len(wanted) < size:
            wanted.add(neighbor)
    if origin is not None:
        wanted = {o for o in wanted if 0 <= origin + o < size}
    if len(wanted) > size:
        wanted = {o for o in wanted if o >= 0}  # of two units, n is the first
    return ShownUnits(tuple(sorted(_most_telling(wanted))), origin)


def arrays_of(verdict: Verdict, units: ShownUnits) -> tuple[ShownArrays, ...]:
    """Lay the entries that units read into columns, those read in the same way together.

    Args:
        verdict: on at least one unit.
        units: that are shown.

    Returns:
        At most two ways of reading, widest first, but one in which units own several entries last;
        empty where it is not known how units read the data.
    """
    patterns = _patterns(verdict)
    bunches = [pattern for pattern in patterns if _bunched(pattern)][:1]
    single = [pattern for pattern in patterns if not _bunched(pattern)][: 2 - len(bunches)]
    drawn = (_arrays(p, patterns[p], units) for p in [*single, *bunches])
    # What unit n reads may all be in columns that there is no room for.
    return tuple(a for a in drawn if any(0 in entry.readers for entry in a.entries))


def not_drawn(verdict: Verdict, arrays: tuple[ShownArrays, ...]) -> tuple[str, ...]:
    """Names of the arrays that units read and that `arrays_of` has no room for."""
    drawn = {name for array in arrays for name in array.names}
    return tuple(given.name for given in verdict.inputs if given.name not in drawn)


def _patterns(verdict: Verdict) -> dict[Input, tuple[str, ...]]:
    """Names of arrays by how they are read, which is an input without a name."""
    if verdict.kind is Kind.HIDDEN and not verdict.inputs:
        return {Input(""): ()}  # rows there are, or nothing would be hidden in them
    patterns: dict[Input, tuple[str, ...]] = {}
    for given in verdict.inputs:
        pattern = dataclasses.replace(given, name="")
        patterns[pattern] = (*patterns.get(pattern, ()), given.name)
    return dict(sorted(patterns.items(), key=lambda item: -_span(item[0])))


def _span(pattern: Input) -> int:
    return max(pattern.offsets, default=0) - min(pattern.offsets, default=0)


def _bunched(pattern: Input) -> bool:
    return pattern.index is not None or pattern.stride > 1


def _columns(pattern: Input) -> tuple[int, ...]:
    return () if _bunched(pattern) else pattern.offsets


def _example(couplings: tuple[Coupling, ...]) -> tuple[int, int] | None:
    """A pair of units, where there is no pattern to show."""
    if not couplings or any(c.offsets or c.reach is None for c in couplings):
        return None
    return couplings[0].example


def _most_telling(offsets: set[int]) -> set[int]:
    """Unit n, its neighbors, the two ends, and the nearest of the rest."""
    ends = {0, min(offsets), max(offsets)} | (offsets & {-1, 1})
    rest = sorted(offsets - ends, key=lambda offset: (abs(offset), offset))
    return ends | set(rest[: _MOST_UNITS - len(ends)])


def _arrays(pattern: Input, names: tuple[str, ...], units: ShownUnits) -> ShownArrays:
    if pattern.index is not None:
        return ShownArrays(names, pattern, _of_groups(units), units.gaps())
    if pattern.stride > 1:
        return _of_strides(pattern, names, units)
    entries: list[Entry] = []
    for column, at in enumerate(units.offsets):
        readers = tuple(unit for unit in units.offsets if at - unit in pattern.offsets)
        entries.append(Entry(float(column), units.index(at), readers))
    return ShownArrays(names, pattern, tuple(entries), units.gaps())


def _of_groups(units: ShownUnits) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    for column, unit in enumerate(units.offsets):
        count = _ROWS_OF_GROUPS[column // 2 % 2] if unit else 3
        places = [column + _SPREAD * (i - (count - 1) / 2) for i in range(count)]
        entries += [Entry(place, "", (unit,)) for place in places]
    return tuple(entries)


def _of_strides(pattern: Input, names: tuple[str, ...], units: ShownUnits) -> ShownArrays:
    stride, offsets = pattern.stride, pattern.offsets
    cut = len(offsets) > _MOST_OFFSETS
    shown = (offsets[0], offsets[-1]) if cut else offsets
    rests = sorted({offset % stride for offset in shown})
    ranks = {o: o // stride + rests.index(o % stride) / len(rests) for o in shown}
    middle = sum(ranks.values()) / len(ranks)
    places: dict[int, float] = {}
    readers: dict[int, tuple[int, ...]] = {}
    for column, unit in enumerate(units.offsets):
        for offset, rank in ranks.items():
            entry = stride * unit + offset
            places.setdefault(entry, column + rank - middle)
            readers[entry] = (*readers.get(entry, ()), unit)
    entries = tuple(
        Entry(places[entry], units.index(entry, stride), readers[entry]) for entry in sorted(places)
    )
    inside = tuple(float(column) for column in range(len(units.offsets))) if cut else ()
    return ShownArrays(names, pattern, entries, (*inside, *units.gaps()))
