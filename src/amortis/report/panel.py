"""A picture with two axes as a record, drawn by `panel_svg` in pages and by `panel_plot` in files.

Nothing here knows how it is drawn; what has to be said in words is said here once.
"""

import dataclasses
import enum
import math

import numpy as np
from jaxtyping import Float, Int


class Hue(enum.Enum):
    """What a mark stands for; each has one color everywhere."""

    FIRST = "first"
    SECOND = "second"
    WARNING = "warning"
    BAD = "bad"
    QUIET = "quiet"


@dataclasses.dataclass(frozen=True)
class Points:
    """Points, of which each may be a row of the data.

    Attributes:
        x: places along the first axis.
        y: places along the second.
        label: what they are, for the legend.
        hue: their color.
        shown: position of each in the table of the rows that are shown, see `RowSample`; None where
            points are not rows.
        words: what is said of each, where it is not a row.
    """

    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    label: str = ""
    hue: Hue = Hue.FIRST
    shown: Int[np.ndarray, " points"] | None = None
    words: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Line:
    """A line through points.

    Attributes:
        x: places along the first axis.
        y: places along the second.
        label: what it is, for the legend.
        hue: its color.
        dashed: whether it is dashed.
        steps: whether it keeps its height until the next point.
        words: what is said of each point when it is pointed at; empty for nothing.
    """

    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    label: str = ""
    hue: Hue = Hue.FIRST
    dashed: bool = False
    steps: bool = False
    words: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Band:
    """The area between two lines.

    Attributes:
        x: places along the first axis.
        low: its lower edge.
        high: its upper edge.
        label: what it is, for the legend.
    """

    x: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Level:
    """A horizontal line across the picture.

    Attributes:
        y: its height.
        label: what it is, written beside it.
        hue: its color.
    """

    y: float
    label: str = ""
    hue: Hue = Hue.QUIET


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: what is along it, with its unit.
        low: where it begins.
        high: where it ends.
        log: whether equal ratios are equally far apart.
    """

    label: str
    low: float
    high: float
    log: bool = False


@dataclasses.dataclass(frozen=True)
class Panel:
    """A picture.

    Attributes:
        title: its heading.
        x: the first axis.
        y: the second axis.
        bands: drawn first.
        levels: drawn next.
        lines: drawn last, over the points.
        points: drawn next.
        summary: what it shows, in a sentence for those who do not see it.
        note: what a reader has to know, such as how many rows are shown.
    """

    title: str
    x: Axis
    y: Axis
    bands: tuple[Band, ...] = ()
    levels: tuple[Level, ...] = ()
    lines: tuple[Line, ...] = ()
    points: tuple[Points, ...] = ()
    summary: str = ""
    note: str = ""


def axis(
    label: str, *values: Float[np.ndarray, "..."], least: float = 0.0, log: bool = False
) -> Axis:
    """An axis around all that has to be seen, with a margin.

    Args:
        label: what is along it, with its unit.
        *values: what has to be seen; what is not finite, or not positive on a log axis, is not.
        least: length that is worth showing: smaller differences must not fill a picture.
        log: whether equal ratios are equally far apart.

    Returns:
        The axis; around one value it is as long as the value is large.
    """
    every = np.concatenate([np.asarray(v, np.float64) for v in values])
    kept = every[np.isfinite(every) & ((every > 0.0) | (not log))]
    low, high = (float(kept.min()), float(kept.max())) if kept.size else (0.1, 1.0)
    if log:
        margin = max((high / low) ** 0.04, 1.05)
        return Axis(label, low / margin, high * margin, log=True)
    worth = least if math.isfinite(least) else 0.0
    margin = max(0.04 * (high - low), 0.5 * (worth - (high - low)))
    margin = max(margin, 1e-5 * max(abs(low), abs(high))) or 0.5  # not rounding errors
    return Axis(label, low - margin, high + margin)
