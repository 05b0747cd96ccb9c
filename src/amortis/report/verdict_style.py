"""Colors and lines of a verdict's drawing, the same in SVG and in the plot."""

import dataclasses

from amortis.report.verdict_shapes import Edge, Node, Relation, Role, Text, Tone

FONTS = "DejaVu Sans, Verdana, sans-serif"

_BLACK, _GRAY, _LIGHT, _RED = "#111111", "#767676", "#a8a8a8", "#c8102e"


@dataclasses.dataclass(frozen=True)
class EdgeStyle:
    """How a line is drawn.

    Attributes:
        color: as `#rrggbb`.
        width: in pixels.
        dashes: lengths of dash and gap in pixels; empty for a solid line.
    """

    color: str
    width: float
    dashes: tuple[float, ...] = ()


def edge_style(edge: Edge) -> EdgeStyle:
    """How an edge is drawn: what concerns unit n is heavier."""
    heavy = edge.focal
    match edge.relation:
        case Relation.READS:
            return EdgeStyle(_BLACK, 2.6)
        case Relation.NEIGHBOR_READS:
            return EdgeStyle(_LIGHT, 1.0)
        case Relation.DEPENDS:
            return EdgeStyle(_GRAY, 1.2)
        case Relation.TOUCHES:
            return EdgeStyle(_RED, 2.6 if heavy else 1.3)
        case Relation.FEEDS:
            return EdgeStyle(_RED, 1.8 if heavy else 1.0, (5.0, 3.0))
        case Relation.UNDECIDED:
            return EdgeStyle(_BLACK if heavy else _LIGHT, 1.8 if heavy else 1.0, (5.0, 4.0))


def node_style(node: Node) -> tuple[str, EdgeStyle]:
    """A node's fill, and how its outline is drawn."""
    if node.role is Role.NOT_DATA:
        return "#ffffff", EdgeStyle(_RED, 1.8 if node.focal else 1.2, (4.0, 3.0))
    fill = "#cfcfcf" if node.role is Role.DATA else "#ffffff"
    return fill, EdgeStyle(_BLACK, 2.4 if node.focal else 1.2)


def text_color(text: Text) -> str:
    """A text's color, as `#rrggbb`."""
    return {Tone.USUAL: _BLACK, Tone.QUIET: "#5a5a5a", Tone.WARNING: _RED}[text.tone]
