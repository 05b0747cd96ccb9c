"""Where everything in a verdict's drawing is, computed once for the SVG and the plot.

The drawing follows Figure 2 of Margossian & Blei (2024): globals above, local latents as open
circles in a row, data filled below; and couplings between local latents in red.
"""

import itertools

from amortis.report.verdict_data_rows import (
    add_array,
    add_group_notes,
    add_not_data,
    add_unexplained_data,
    sheet_for,
    shifts_of,
)
from amortis.report.verdict_shapes import (
    Edge,
    Node,
    Relation,
    Role,
    Text,
    Tone,
    VerdictLayout,
    arrow,
    bond,
)
from amortis.report.verdict_sheet import PITCH, RADIUS, ROW, TOP, Sheet, inside
from amortis.report.verdict_units import ShownUnits, arrays_of, not_drawn, units_of
from amortis.report.verdict_words import caption_of
from amortis.structure import Kind, Verdict

_ENDLESS_RISE = 80.0
"""Height of the lines that run off the drawing, over the row of locals."""


def lay_out(verdict: Verdict) -> VerdictLayout:
    """Place nodes, edges and words.

    Args:
        verdict: what `check` found.

    Returns:
        The drawing. Couplings that are the same for all units are drawn between all units that
        are shown; where they are not, one example is, with the numbers of its units.
    """
    if not verdict.sites:
        return _without_locals(verdict)
    units = units_of(verdict)
    arrays = arrays_of(verdict, units)
    sheet = sheet_for(arrays)
    pairs = _touching(verdict, units)
    ends = _ends(verdict, units)
    endless = ends if any(c.reach is None for c in verdict.couplings) else ()
    rises = [_rise(i, j, units) for i, j in pairs] + [_ENDLESS_RISE] * len(endless)
    y = TOP + max(ROW, max(rises, default=0.0) + 65.0)
    locals_ = _add_locals(sheet, verdict, units, y)
    sheet.dots((*units.gaps(), *ends), y)
    _add_globals(sheet, list(locals_.values()), (len(units.offsets) - 1) / 2)
    for i, j in pairs:
        first, second = units.offsets[i], units.offsets[j]
        rise, focal = _rise(i, j, units), 0 in (first, second)
        sheet.edges.append(bond(locals_[first], locals_[second], rise, focal))
    for column in endless:
        _add_endless(sheet, locals_[0], sheet.x(column))
    shifts = shifts_of(arrays, units)
    for row, (array, shift) in enumerate(zip(arrays, shifts, strict=True)):
        missing = not_drawn(verdict, arrays) if array is arrays[-1] else ()
        add_array(sheet, array, locals_, row, shift, missing)
        if array.pattern.index is not None:
            add_group_notes(sheet, array, units)
    if verdict.kind is Kind.HIDDEN:
        add_not_data(sheet)
    elif not arrays and verdict.answer is not True:
        add_unexplained_data(sheet, locals_)
    return sheet.finished(caption_of(verdict))


def _without_locals(verdict: Verdict) -> VerdictLayout:
    sheet = Sheet()
    place = (sheet.x(1.0), TOP + ROW)
    data = Node("data", Role.DATA, place, (1.2 * PITCH, 20.0), Text("data", place, 13.0))
    sheet.nodes.append(data)
    sheet.heading(place[1], "data")
    _add_globals(sheet, [data], 1.0)
    return sheet.finished(caption_of(verdict))


def _add_globals(sheet: Sheet, below: list[Node], column: float) -> None:
    place = (sheet.x(column), TOP)
    theta = Node("theta", Role.GLOBAL, place, (RADIUS, RADIUS), Text("θ", place, 16.0))
    sheet.nodes.append(theta)
    sheet.heading(TOP, "globals")
    sheet.edges += [arrow(theta, node, Relation.DEPENDS, node.focal) for node in below]


def _add_locals(sheet: Sheet, verdict: Verdict, units: ShownUnits, y: float) -> dict[int, Node]:
    one = verdict.sites[0] if len(verdict.sites) == 1 else ""
    nodes: dict[int, Node] = {}
    for column, offset in enumerate(units.offsets):
        place = (sheet.x(float(column)), y)
        label = inside(place, one, units.index(offset))
        half, focal = (RADIUS, RADIUS), offset == 0
        nodes[offset] = Node(f"z{offset:+d}", Role.LOCAL, place, half, label, focal)
    sheet.nodes += nodes.values()
    along = f"{verdict.size} along '{verdict.local}'"
    sheet.heading(y, "local latents", ", ".join(verdict.sites), along)
    return nodes


def _ends(verdict: Verdict, units: ShownUnits) -> tuple[float, ...]:
    """Columns beyond the first and the last, on the sides where units go on."""
    before = after = len(units.offsets) < verdict.size
    if units.origin is not None:
        before = units.origin + units.offsets[0] > 0
        after = units.origin + units.offsets[-1] < verdict.size - 1
    return (-0.5,) * before + (len(units.offsets) - 0.5,) * after


def _touching(verdict: Verdict, units: ShownUnits) -> list[tuple[int, int]]:
    """Pairs of columns whose units touch each other."""
    everywhere = any(c.reach is None for c in verdict.couplings)
    offsets = {offset for c in verdict.couplings for offset in c.offsets}
    examples = {frozenset(c.example) for c in verdict.couplings}

    def touch(first: int, second: int) -> bool:
        if units.origin is not None:
            return frozenset((units.origin + first, units.origin + second)) in examples
        return everywhere or second - first in offsets or first - second in offsets

    columns = itertools.combinations(range(len(units.offsets)), 2)
    return [(i, j) for i, j in columns if touch(units.offsets[i], units.offsets[j])]


def _rise(first: int, second: int, units: ShownUnits) -> float:
    """How high a line between two columns has to go to pass over what is between."""
    if units.offsets[second] == units.offsets[first] + 1:
        return 0.0
    return 42.0 + 14.0 * (second - first - 1)


def _add_endless(sheet: Sheet, focal: Node, x: float) -> None:
    """A line from unit n that leaves the drawing, as those to units far away would."""
    (start, y), end = focal.center, (x, focal.center[1] - 38.0)
    control = ((start + x) / 2, y - 1.4 * _ENDLESS_RISE)
    path = (focal.border(control), control, end)
    sheet.edges.append(Edge(focal.key, "", Relation.TOUCHES, path, focal=True))
    beyond = (x + (12.0 if x > start else -12.0), end[1])
    sheet.texts.append(Text("…", beyond, 18.0, Tone.WARNING))
