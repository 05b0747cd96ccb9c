"""The lower part of a verdict's drawing: the data, who reads which, and what is not data."""

import itertools

from amortis.report.verdict_shapes import Node, Relation, Role, Text, Tone, arrow
from amortis.report.verdict_sheet import PITCH, RADIUS, ROW, SMALL, Sheet, inside
from amortis.report.verdict_units import Entry, ShownArrays, ShownUnits
from amortis.report.verdict_words import printable, shortened, text_width

_ENTRY_RADIUS, _BOX = 11.0, 14.0
"""Of an entry where units own several, and of what is not data."""

_WIDEST_NOTE = 90.0
_WIDE_PITCH, _HIGH_ROW = 150.0, 150.0
"""Where arrows pass between the nodes of the upper of two rows."""

_ROWS, _SHIFTS = (0, 1), (0.0, 0.25, 0.5)


def sheet_for(arrays: tuple[ShownArrays, ...]) -> Sheet:
    """An empty sheet with room for rows of data and the words under them.

    Args:
        arrays: that will be drawn.
    """
    two = len(arrays) == len(_ROWS)
    pitch, row = (_WIDE_PITCH, _HIGH_ROW) if two else (PITCH, ROW)
    first = 0.0
    for array in arrays:
        places = sorted(entry.position for entry in array.entries)
        first = min(first, places[0] + 0.3)
        if array.bunched and array.pattern.index is None and len(places) > 1:
            step = min(right - left for left, right in itertools.pairwise(places))
            widest = max(text_width(_written(array, entry), SMALL) for entry in array.entries)
            pitch = max(pitch, (widest + 8.0) / step)
    return Sheet(pitch, row, first)


def shifts_of(arrays: tuple[ShownArrays, ...], units: ShownUnits) -> tuple[float, ...]:
    """How far each row is moved to the right, in columns.

    Arrows to the second row pass halfway through the first; the shifts are those that keep them
    farthest from the nodes there. Moved by half a column, they pass a quarter of one beside them.

    Args:
        arrays: one or two rows.
        units: in columns.
    """
    if len(arrays) < len(_ROWS):
        return (0.0,) * len(arrays)
    first, second = arrays
    nodes = [entry.position for entry in first.entries]
    columns = [(units.offsets.index(u), e.position) for e in second.entries for u in e.readers]
    crossings = [(column + position) / 2 for column, position in columns]

    def clearance(shifts: tuple[float, ...]) -> float:
        moved = shifts[1] / 2 - shifts[0]
        return round(min(abs(at + moved - x) for at in crossings for x in nodes), 6)

    return max(itertools.product(_SHIFTS, repeat=2), key=clearance)


def add_array(
    sheet: Sheet,
    array: ShownArrays,
    locals_: dict[int, Node],
    row: int,
    shift: float,
    missing: tuple[str, ...] = (),
) -> None:
    """Draw the entries of arrays that are read in the same way, and an edge from each reader.

    Args:
        sheet: to draw on.
        array: what is read.
        locals_: the nodes of units by offset.
        row: its place under the locals, from zero.
        shift: how far it is moved to the right, in columns.
        missing: names of arrays that there is no room for.
    """
    y = locals_[0].center[1] + sheet.row * (row + 1)
    size = _ENTRY_RADIUS if array.bunched else RADIUS
    for i, entry in enumerate(array.entries):
        place = (sheet.x(entry.position + shift), y)
        label = inside(place, _name(array), entry.index)
        if array.bunched:
            label = Text("", place, SMALL)
            note = _written(array, entry) if entry.index else ""
            sheet.note(note, (place[0], y + size + 12.0), _WIDEST_NOTE)
        mine = 0 in entry.readers
        node = Node(f"x{row}#{i}", Role.DATA, place, (size, size), label, mine)
        sheet.nodes.append(node)
        for unit in entry.readers:
            relation = Relation.READS if unit == 0 else Relation.NEIGHBOR_READS
            sheet.edges.append(arrow(locals_[unit], node, relation, unit == 0))
    sheet.dots(tuple(gap + shift for gap in array.gaps), y)
    left_out = f"not drawn: {', '.join(missing)}" if missing else ""
    sheet.heading(y, "data", _names(array), left_out)


def add_group_notes(sheet: Sheet, array: ShownArrays, units: ShownUnits) -> None:
    """Say under each bunch of entries to which group it belongs."""
    room = sheet.pitch - 10.0
    y = max(node.center[1] for node in sheet.nodes) + _ENTRY_RADIUS + 14.0
    for column, unit in enumerate(units.offsets):
        index = f" = {units.index(unit)}"
        name = printable(array.pattern.index or "")
        cut = shortened(name, SMALL, room - text_width(index, SMALL))
        sheet.note(f"{cut}{index}", (sheet.x(float(column)), y), room)


def add_not_data(sheet: Sheet) -> None:
    """Draw a box with a question mark under each row of data, which it feeds."""
    rows = [node for node in sheet.nodes if node.role is Role.DATA]
    y = rows[0].center[1] + 85.0
    for row in rows:
        place = (row.center[0], y)
        label = Text("?", place, 15.0, Tone.WARNING)
        box = Node(f"c{row.key}", Role.NOT_DATA, place, (_BOX, _BOX), label, row.focal)
        sheet.nodes.append(box)
        sheet.edges.append(arrow(box, row, Relation.FEEDS, row.focal))
    sheet.heading(y, "not data", "differs between rows")


def add_unexplained_data(sheet: Sheet, locals_: dict[int, Node]) -> None:
    """Draw the data as one box, where it is not known which unit reads what."""
    nodes = list(locals_.values())
    left, right = nodes[0].center[0], nodes[-1].center[0]
    place, half = ((left + right) / 2, nodes[0].center[1] + ROW), ((right - left) / 2 + 40.0, 20.0)
    box = Node("data", Role.DATA, place, half, Text("data", place, 13.0))
    sheet.nodes.append(box)
    for node in nodes:
        sheet.edges.append(arrow(node, box, Relation.UNDECIDED, node.focal))
        beside = (node.center[0] + 12.0, place[1] - ROW / 2)
        sheet.texts.append(Text("?", beside, 17.0 if node.focal else 14.0, Tone.WARNING))
    sheet.heading(place[1], "data")


def _name(array: ShownArrays) -> str:
    """The one name that goes before an index; empty if there are several, or more axes."""
    return array.names[0] if len(array.names) == 1 and not array.pattern.axis else ""


def _names(array: ShownArrays) -> str:
    axes = f"[{':, ' * array.pattern.axis}n]" if array.pattern.axis else ""
    return ", ".join(f"{name}{axes}" for name in array.names)


def _written(array: ShownArrays, entry: Entry) -> str:
    name = _name(array)
    whole = f"{name}[{entry.index}]"
    return whole if name and text_width(whole, SMALL) <= _WIDEST_NOTE else entry.index
