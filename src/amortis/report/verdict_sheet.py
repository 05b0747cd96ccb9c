"""A verdict's drawing as it fills: columns of units, rows of nodes, headings and the caption."""

import dataclasses

from amortis.report.verdict_shapes import Edge, Node, Point, Relation, Text, Tone, VerdictLayout
from amortis.report.verdict_words import printable, shortened, text_width, wrapped

RADIUS = 27.0
"""Of a circle with a label inside."""

PITCH, ROW = 120.0, 115.0
"""From one column, and from one row, to the next, in pixels."""

TOP = 44.0
"""Where the globals are."""

SMALL = 11.0
"""Font of words outside of nodes."""

_LEFT, _MARGIN = 160.0, 16.0
_LABELS, _CAPTION = (13.0, 12.0, 11.0, 10.0), 14.0
_LEAST_WIDTH = 560.0


@dataclasses.dataclass
class Sheet:
    """What has been drawn.

    Attributes:
        pitch: from one column to the next, in pixels.
        row: from the locals to the first row of data, and on to the second.
        first: the leftmost place in columns; zero is the first unit's.
        nodes: those drawn.
        edges: those drawn.
        texts: those written outside of nodes.
    """

    pitch: float = PITCH
    row: float = ROW
    first: float = 0.0
    nodes: list[Node] = dataclasses.field(default_factory=list[Node])
    edges: list[Edge] = dataclasses.field(default_factory=list[Edge])
    texts: list[Text] = dataclasses.field(default_factory=list[Text])

    def x(self, column: float) -> float:
        """The middle of a column."""
        return _LEFT + self.pitch * (column - self.first + 0.7)

    def heading(self, y: float, title: str, *names: str) -> None:
        """Say to the left of a row what it is, with the model's names under it."""
        lines = [title, *(name for name in names if name)]
        for i, line in enumerate(lines):
            place = (_MARGIN, y + 15.0 * (i - (len(lines) - 1) / 2))
            cut = shortened(printable(line), SMALL, _LEFT - _MARGIN)
            tone = Tone.QUIET if i else Tone.USUAL
            self.texts.append(Text(cut, place, SMALL, tone, centered=False))

    def note(self, text: str, place: Point, most: float) -> None:
        """Write a small line under a node, cut to the room there is."""
        self.texts.append(Text(shortened(printable(text), SMALL, most), place, SMALL))

    def dots(self, columns: tuple[float, ...], y: float) -> None:
        """Say that something is left out."""
        self.texts += [Text("…", (self.x(column), y), 18.0, Tone.QUIET) for column in columns]

    def finished(self, caption: str) -> VerdictLayout:
        """Write the caption under all, and close the drawing.

        Args:
            caption: one line.

        Returns:
            The drawing.
        """
        right = max(node.center[0] + node.half[0] for node in self.nodes) + self.pitch / 2
        width = max(right, _LEAST_WIDTH)
        bottom = max(
            *(node.center[1] + node.half[1] for node in self.nodes),
            *(text.place[1] + text.size / 2 for text in self.texts),
        )
        texts, y = list(self.texts), bottom + 34.0
        for line in wrapped(caption, _CAPTION, width - 2 * _MARGIN):
            texts.append(Text(line, (_MARGIN, y), _CAPTION, centered=False))
            y += 1.4 * _CAPTION
        # What concerns unit n is drawn over the rest, and couplings over the globals' arrows.
        edges = sorted(self.edges, key=lambda e: (e.focal, e.relation is Relation.TOUCHES))
        return VerdictLayout(width, y, tuple(self.nodes), tuple(edges), tuple(texts), caption)


def inside(place: Point, name: str, index: str) -> Text:
    """A circle's label: `name[index]` if it fits, else the index.

    Args:
        place: the circle's middle.
        name: of the site or array; empty if there is not one name to show.
        index: as it is written.

    Returns:
        A text no wider than the circle.
    """
    room = 2 * RADIUS - 9.0
    for label in [f"{printable(name)}[{index}]"] * bool(name) + [index]:
        for size in _LABELS:
            if text_width(label, size) <= room:
                return Text(label, place, size)
    return Text(shortened(index, _LABELS[-1], room), place, _LABELS[-1])
