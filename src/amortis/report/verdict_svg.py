"""A verdict as a drawing in SVG, plain text that needs no library."""

from xml.sax.saxutils import escape, quoteattr

from amortis.report.verdict_layout import lay_out
from amortis.report.verdict_shapes import Edge, Node, Point, Text
from amortis.report.verdict_style import FONTS, EdgeStyle, edge_style, node_style, text_color
from amortis.structure import Verdict


def verdict_graph(verdict: Verdict) -> str:
    """Draw what `check` found as a graphical model.

    Globals are above, local latents are open circles, data are filled circles. Bold arrows lead
    from unit n to what its ideal factor reads, thin ones are those of its neighbors. Local latents
    that touch each other are joined in red; dashed boxes stand for what is not data. Under it is
    the answer in words.

    Args:
        verdict: what `check` found.

    Returns:
        An SVG document, one pixel per unit; it may be put into a web page as it is.

    References:
        Margossian & Blei, *Amortized Variational Inference: When and Why?* (2024), Figure 2.

    Example:
        >>> verdict = check(model, x)
        >>> Path("graph.svg").write_text(verdict_graph(verdict), encoding="utf8")
    """
    drawing = lay_out(verdict)
    width, height = _number(drawing.width), _number(drawing.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family={quoteattr(FONTS)}>',
        f"<title>{escape(drawing.caption)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *(_edge(edge) for edge in drawing.edges),
        *(_node(node) for node in drawing.nodes),
        *(_text(node.label) for node in drawing.nodes if node.label.text),
        *(_text(text) for text in drawing.texts if text.text),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _edge(edge: Edge) -> str:
    style = edge_style(edge)
    first, *rest = edge.path
    curve = f"M{_pair(first)} {'L' if len(rest) == 1 else 'Q'}{' '.join(map(_pair, rest))}"
    line = f'<path d="{curve}" fill="none" {_stroke(style)}/>'
    if not edge.head:
        return line
    corners = " ".join(map(_pair, edge.head))
    return f'{line}<polygon points="{corners}" fill="{style.color}"/>'


def _stroke(style: EdgeStyle) -> str:
    dashes = f' stroke-dasharray="{" ".join(map(_number, style.dashes))}"' if style.dashes else ""
    return f'stroke="{style.color}" stroke-width="{_number(style.width)}"{dashes}'


def _node(node: Node) -> str:
    fill, outline = node_style(node)
    (x, y), (half_width, half_height) = node.center, node.half
    if not node.is_box:
        place = f'cx="{_number(x)}" cy="{_number(y)}" r="{_number(half_width)}"'
        return f'<circle {place} fill="{fill}" {_stroke(outline)}/>'
    corner = f'x="{_number(x - half_width)}" y="{_number(y - half_height)}"'
    size = f'width="{_number(2 * half_width)}" height="{_number(2 * half_height)}"'
    return f'<rect {corner} {size} fill="{fill}" {_stroke(outline)}/>'


def _text(text: Text) -> str:
    x, y = text.place
    # Viewers disagree on `dominant-baseline`; a third of the size is the middle of small letters.
    place = f'x="{_number(x)}" y="{_number(y + 0.35 * text.size)}"'
    anchor = ' text-anchor="middle"' if text.centered else ""
    font = f'font-size="{_number(text.size)}" fill="{text_color(text)}"'
    return f"<text {place} {font}{anchor}>{escape(text.text)}</text>"


def _pair(point: Point) -> str:
    return ",".join(map(_number, point))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
