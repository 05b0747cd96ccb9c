"""A verdict as a drawing by matplotlib, from the same layout as the SVG."""

from typing import Any

from amortis.data import replacing
from amortis.report.matplotlib_import import new_figure
from amortis.report.plots import FilePath
from amortis.report.verdict_layout import lay_out
from amortis.report.verdict_shapes import Edge, Node, Text
from amortis.report.verdict_style import edge_style, node_style, text_color
from amortis.structure import Verdict

_PIXELS_PER_INCH, _POINTS_PER_INCH = 100.0, 72.0
_POINTS = _POINTS_PER_INCH / _PIXELS_PER_INCH
"""Points in one pixel of the layout."""


def verdict_figure(verdict: Verdict) -> Any:
    """Draw what `check` found as a graphical model; see `verdict_graph`.

    Args:
        verdict: what `check` found.

    Returns:
        A `matplotlib.figure.Figure`, one inch for 100 units of the SVG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    drawing = lay_out(verdict)
    figure = new_figure(drawing.width / _PIXELS_PER_INCH, drawing.height / _PIXELS_PER_INCH)
    figure.set_layout_engine("none")  # everything has its place
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0.0, drawing.width)
    axes.set_ylim(drawing.height, 0.0)
    axes.set_axis_off()
    for edge in drawing.edges:
        _add_edge(axes, edge)
    for node in drawing.nodes:
        _add_node(axes, node)
        _add_text(axes, node.label)
    for text in drawing.texts:
        _add_text(axes, text)
    return figure


def plot_verdict(verdict: Verdict, path: FilePath) -> None:
    """Draw what `check` found as a graphical model; see `verdict_graph`.

    Args:
        verdict: what `check` found.
        path: the PNG file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: the file cannot be written.
    """
    figure = verdict_figure(verdict)
    with replacing(path) as stream:
        figure.savefig(stream, format="png")


def _add_edge(axes: Any, edge: Edge) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    style = edge_style(edge)
    codes = [Path.MOVETO] + [Path.LINETO if len(edge.path) == 2 else Path.CURVE3] * (
        len(edge.path) - 1
    )
    line = {"linewidth": style.width * _POINTS, "linestyle": _dashes(style.dashes, style.width)}
    path = Path(edge.path, codes)
    axes.add_patch(
        PathPatch(path, fill=False, edgecolor=style.color, capstyle="butt", zorder=1, **line)
    )
    if edge.head:
        axes.add_patch(Polygon(edge.head, closed=True, color=style.color, linewidth=0, zorder=1))


def _add_node(axes: Any, node: Node) -> None:
    from matplotlib.patches import Circle, Rectangle

    fill, outline = node_style(node)
    (x, y), (half_width, half_height) = node.center, node.half
    shape = (
        Rectangle((x - half_width, y - half_height), 2 * half_width, 2 * half_height)
        if node.is_box
        else Circle(node.center, half_width)
    )
    shape.set(
        facecolor=fill,
        edgecolor=outline.color,
        linewidth=outline.width * _POINTS,
        linestyle=_dashes(outline.dashes, outline.width),
        zorder=2,
    )
    axes.add_patch(shape)


def _add_text(axes: Any, text: Text) -> None:
    axes.text(
        text.place[0],
        text.place[1] + 0.35 * text.size,
        text.text,
        fontsize=text.size * _POINTS,
        color=text_color(text),
        ha="center" if text.centered else "left",
        va="baseline",
        parse_math=False,  # a name may have dollars in it
        zorder=3,
    )


def _dashes(lengths: tuple[float, ...], width: float) -> Any:
    """Matplotlib measures dashes in widths of the line."""
    return (0.0, tuple(length / width for length in lengths)) if lengths else "solid"
