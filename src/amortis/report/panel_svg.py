"""A panel as SVG inside a page: colors come from the page's style, words from its script."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from amortis.report.markup import Markup, as_it_is, element, joined
from amortis.report.panel import Axis, Band, Level, Line, Panel, Points
from amortis.report.ticks import linear_ticks, log_ticks
from amortis.report.verdict_words import shortened, text_width

WIDTH, HEIGHT = 480.0, 330.0
"""Size of the drawing in its own units; pages scale it."""

_TOP, _RIGHT, _BOTTOM = 34.0, 16.0, 56.0
_FONT = 16.0
"""The larger size of letters, as on phones, for which room is kept."""

_MOST_WORDED = 60
"""Points of a line that can be pointed at."""


@dataclasses.dataclass(frozen=True)
class _Frame:
    """Where values are in the drawing."""

    x: Axis
    y: Axis
    left: float
    right: float

    def across(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return self.left + _share(values, self.x) * (self.right - self.left)

    def down(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return HEIGHT - _BOTTOM - _share(values, self.y) * (HEIGHT - _BOTTOM - _TOP)


def panel_svg(panel: Panel, identifier: str) -> Markup:
    """Draw a panel.

    Args:
        panel: what to draw.
        identifier: unique on the page; made of letters, digits and hyphens.

    Returns:
        An `svg` element that can be focused; marks that can be pointed at are circles with the
        position of their row (`data-i`) or their words (`data-t`).
    """
    y_ticks = _ticks(panel.y, 6)
    widest = max((text_width(label, _FONT) for _, label in y_ticks), default=0.0)
    beside = max((_margin(level.label) for level in panel.levels), default=0.0)
    frame = _Frame(
        panel.x, panel.y, min(max(widest + 10.0, 40.0), 170.0), WIDTH - max(_RIGHT, beside)
    )
    clip = f"{identifier}-clip"
    area = element(
        "rect",
        x=frame.left,
        y=_TOP,
        width=frame.right - frame.left,
        height=HEIGHT - _BOTTOM - _TOP,
    )
    count = sum(len(points.x) for points in panel.points)
    drawn = [
        *(_band(band, frame) for band in panel.bands),
        *(_level_line(level, frame) for level in panel.levels),
        *(_points(points, frame, count) for points in panel.points),
        *(_line(line, frame) for line in panel.lines),
        *(_worded(line, frame) for line in panel.lines if line.words),
    ]
    return element(
        "svg",
        element("clipPath", area, id=clip),
        *_axes(panel, frame, y_ticks),
        element("g", *drawn, clip_path=f"url(#{clip})"),
        *(_level_label(level, frame) for level in panel.levels if level.label),
        element("circle", class_="ring", r=8.0, cx=-50.0, cy=-50.0),
        class_="chart",
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        tabindex="0",
        aria_label=f"{panel.title}. {panel.summary}",
        id=identifier,
    )


def legend(panel: Panel) -> Markup:
    """What the marks of a panel stand for, as a list; empty for one kind of mark."""
    items = [("band", "", band.label) for band in panel.bands]
    items += [
        ("dash" if line.dashed else "stroke", line.hue.value, line.label) for line in panel.lines
    ]
    items += [("dot", points.hue.value, points.label) for points in panel.points]
    items = [item for item in items if item[2]]
    if len(items) < 2:
        return as_it_is("")
    return element(
        "ul",
        *(
            element("li", element("i", class_=f"{kind} {hue}".strip()), label)
            for kind, hue, label in items
        ),
        class_="legend",
    )


def _axes(panel: Panel, frame: _Frame, y_ticks: list[tuple[float, str]]) -> list[Markup]:
    bottom, right = HEIGHT - _BOTTOM, frame.right
    parts: list[Markup] = []
    for value, label in y_ticks:
        y = float(frame.down(np.array([value]))[0])
        parts.append(element("line", class_="grid", x1=frame.left, x2=right, y1=y, y2=y))
        parts.append(element("text", label, class_="tick end", x=frame.left - 6.0, y=y + 5.0))
    x_ticks = _fitting(panel.x, frame)
    for value, label in x_ticks:
        x = float(frame.across(np.array([value]))[0])
        parts.append(element("line", class_="axis", x1=x, x2=x, y1=bottom, y2=bottom + 5.0))
        half = text_width(label, _FONT) / 2
        x = min(max(x, half), WIDTH - half)
        parts.append(element("text", label, class_="tick middle", x=x, y=bottom + 21.0))
    parts.append(element("line", class_="axis", x1=frame.left, x2=right, y1=bottom, y2=bottom))
    middle = (frame.left + right) / 2
    below, above = (shortened(axis.label, _FONT, WIDTH) for axis in (panel.x, panel.y))
    half = text_width(below, _FONT) / 2
    middle = min(max(middle, half), WIDTH - half)
    parts.append(element("text", below, class_="label middle", x=middle, y=HEIGHT - 10.0))
    parts.append(element("text", above, class_="label", x=2.0, y=17.0))
    return parts


def _fitting(axis: Axis, frame: _Frame) -> list[tuple[float, str]]:
    """As many ticks below as leave room between their labels."""
    for most in (7, 6, 5, 4, 3, 2):
        ticks = _ticks(axis, most)
        places = frame.across(np.array([value for value, _ in ticks]))
        widths = [text_width(label, _FONT) for _, label in ticks]
        room = [
            b - a - (v + w) / 2
            for a, b, v, w in zip(places[:-1], places[1:], widths[:-1], widths[1:], strict=True)
        ]
        if not room or min(room) >= 6.0:
            return ticks
    return ticks[:1]


def _ticks(axis: Axis, most: int) -> list[tuple[float, str]]:
    return (log_ticks if axis.log else linear_ticks)(axis.low, axis.high, most)


def _band(band: Band, frame: _Frame) -> Markup:
    x = np.concatenate([band.x, band.x[::-1]])
    y = np.concatenate([band.high, band.low[::-1]])
    return element("path", class_="band", d=f"{_path(frame.across(x), frame.down(y))}Z")


def _level_line(level: Level, frame: _Frame) -> Markup:
    y = float(frame.down(np.array([level.y]))[0])
    return element(
        "line",
        class_=f"level {level.hue.value}",
        x1=frame.left,
        x2=frame.right,
        y1=y,
        y2=y,
    )


def _level_label(level: Level, frame: _Frame) -> Markup:
    """A short name beside the line; a long one above it, or below where there is no room above."""
    y = float(frame.down(np.array([level.y]))[0])
    if not _TOP - 1.0 <= y <= HEIGHT - _BOTTOM + 1.0:
        return as_it_is("")
    hue = level.hue.value
    if _margin(level.label):
        place = frame.right + 5.0
        return element("text", level.label, class_=f"name {hue}", x=place, y=y + 5.0)
    y += -5.0 if y > _TOP + 16.0 else 17.0
    return element("text", level.label, class_=f"name end {hue}", x=frame.right - 2.0, y=y)


def _margin(label: str) -> float:
    """Room for a level's name beside the frame; zero if it is too long for that."""
    width = text_width(label, _FONT) + 8.0
    return width if label and width < 48.0 else 0.0


def _line(line: Line, frame: _Frame) -> Markup:
    dashed = " dashed" if line.dashed else ""
    return element(
        "path",
        class_=f"curve {line.hue.value}{dashed}",
        d=_path(frame.across(line.x), frame.down(line.y)),
    )


def _points(points: Points, frame: _Frame, count: int) -> Markup:
    across, down = frame.across(points.x), frame.down(points.y)
    size = 4.0 if count < 150 else 3.2 if count < 600 else 2.6
    # One short tag for each: there are thousands.
    marks = "".join(
        f'<circle cx="{a:.1f}" cy="{d:.1f}" r="{size}"{extra}/>'
        for a, d, extra in zip(across, down, _extras(points), strict=True)
        if math.isfinite(a) and math.isfinite(d)
    )
    return element("g", as_it_is(marks), class_=f"points {points.hue.value}")


def _extras(points: Points) -> list[str]:
    if points.shown is None:
        return [""] * len(points.x)
    return [f' data-i="{i}"' for i in points.shown.tolist()]


def _worded(line: Line, frame: _Frame) -> Markup:
    kept = np.unique(np.linspace(0, len(line.x) - 1, min(len(line.x), _MOST_WORDED)).astype(int))
    down = frame.down(line.y[kept])
    inside = (down >= _TOP - 2.0) & (down <= HEIGHT - _BOTTOM + 2.0)
    kept, down = kept[inside], down[inside]
    across = frame.across(line.x[kept])
    size = 3.2 if len(line.x) <= _MOST_WORDED else 0.0
    marks = [
        element("circle", cx=a, cy=d, r=size, data_t=line.words[i])
        for a, d, i in zip(across.tolist(), down.tolist(), kept.tolist(), strict=True)
    ]
    return element("g", joined(marks), class_=f"points {line.hue.value}")


def _path(across: Float[np.ndarray, " n"], down: Float[np.ndarray, " n"]) -> str:
    """A line through points, broken where one has no place."""
    parts: list[str] = []
    pen = "M"
    for a, d in zip(across.tolist(), down.tolist(), strict=True):
        if not (math.isfinite(a) and math.isfinite(d)):
            pen = "M"
            continue
        parts.append(f"{pen}{a:.1f} {min(max(d, -5e3), 5e3):.1f}")
        pen = "L"
    return "".join(parts)


def _share(values: Float[np.ndarray, " n"], axis: Axis) -> Float[np.ndarray, " n"]:
    """Where values are between the ends of an axis."""
    if not axis.log:
        return (values - axis.low) / (axis.high - axis.low)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values / axis.low) / math.log(axis.high / axis.low)
