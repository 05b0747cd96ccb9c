"""What a verdict's drawing is made of, in pixels with y downwards: nodes, edges and texts."""

import dataclasses
import enum
import math

Point = tuple[float, float]

_HEAD_LENGTH, _HEAD_HALF_WIDTH = 9.0, 3.6


class Role(enum.Enum):
    """What a node stands for."""

    GLOBAL = enum.auto()
    LOCAL = enum.auto()
    DATA = enum.auto()
    NOT_DATA = enum.auto()  # what rows differ in, although it was not passed as data


class Relation(enum.Enum):
    """What an edge says."""

    DEPENDS = enum.auto()  # locals on the globals
    READS = enum.auto()  # unit n's local reads the entry
    NEIGHBOR_READS = enum.auto()  # another unit's does
    TOUCHES = enum.auto()  # two locals are in one term
    FEEDS = enum.auto()  # what is not data goes into a row
    UNDECIDED = enum.auto()  # it is not known who reads what


class Tone(enum.Enum):
    """How a text stands out."""

    USUAL = enum.auto()
    QUIET = enum.auto()
    WARNING = enum.auto()


@dataclasses.dataclass(frozen=True)
class Text:
    """A line of text, centered vertically on its place.

    Attributes:
        text: one line.
        place: of its middle, or of its beginning.
        size: of the font, in pixels.
        tone: how it stands out.
        centered: whether `place` is its middle.
    """

    text: str
    place: Point
    size: float
    tone: Tone = Tone.USUAL
    centered: bool = True


@dataclasses.dataclass(frozen=True)
class Node:
    """A circle or a box.

    Attributes:
        key: names it among the nodes.
        role: what it stands for.
        center: its middle.
        half: half its width and half its height; a circle has its radius twice.
        label: inside; may be empty.
        focal: whether it is unit n's.
    """

    key: str
    role: Role
    center: Point
    half: tuple[float, float]
    label: Text
    focal: bool = False

    @property
    def is_box(self) -> bool:
        """Whether it is a box; else it is a circle."""
        return self.role is Role.NOT_DATA or self.half[0] != self.half[1]

    def border(self, toward: Point) -> Point:
        """Where a line from a point to this node ends; a box is met from above or below."""
        (x, y), (width, height) = self.center, self.half
        if self.is_box:
            at = min(max(toward[0], x - width), x + width)
            return at, y + math.copysign(height, toward[1] - y)
        length = math.dist(self.center, toward)
        return x + width * (toward[0] - x) / length, y + width * (toward[1] - y) / length


@dataclasses.dataclass(frozen=True)
class Edge:
    """A line between nodes, straight or bent.

    Attributes:
        start: key of the node where it begins.
        end: key of the node where it ends; empty if it runs off the drawing.
        relation: what it says.
        path: two points of a straight line, or three of a quadratic Bézier curve.
        head: corners of the arrow's head; empty if it has no direction.
        focal: whether it is unit n's.
    """

    start: str
    end: str
    relation: Relation
    path: tuple[Point, ...]
    head: tuple[Point, ...] = ()
    focal: bool = False


@dataclasses.dataclass(frozen=True)
class VerdictLayout:
    """A verdict's drawing, which the SVG and the plot have in common.

    Attributes:
        width: in pixels.
        height: in pixels.
        nodes: drawn over the edges.
        edges: drawn first.
        texts: all words outside of nodes.
        caption: the answer, as one line; it is among the texts in lines that fit.
    """

    width: float
    height: float
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    texts: tuple[Text, ...]
    caption: str


def arrow(start: Node, end: Node, relation: Relation, focal: bool = False) -> Edge:
    """A straight arrow from border to border."""
    tail = start.border(end.border(start.center))
    tip = end.border(start.center)
    reach = math.dist(tail, tip)
    ahead = ((tip[0] - tail[0]) / reach, (tip[1] - tail[1]) / reach)
    base = (tip[0] - _HEAD_LENGTH * ahead[0], tip[1] - _HEAD_LENGTH * ahead[1])
    aside = (-_HEAD_HALF_WIDTH * ahead[1], _HEAD_HALF_WIDTH * ahead[0])
    head = (tip, (base[0] + aside[0], base[1] + aside[1]), (base[0] - aside[0], base[1] - aside[1]))
    return Edge(start.key, end.key, relation, (tail, base), head, focal)


def bond(start: Node, end: Node, height: float, focal: bool = False) -> Edge:
    """A line without direction between locals, bent upwards so that it passes over others.

    Args:
        start: one local.
        end: the other, in the same row.
        height: of the curve's highest point over the row's middle, in pixels; zero is straight.
        focal: whether one of them is unit n's.
    """
    middle = (start.center[0] + end.center[0]) / 2, start.center[1] - 2 * height
    if not height:
        path = (start.border(end.center), end.border(start.center))
    else:
        path = (start.border(middle), middle, end.border(middle))
    return Edge(start.key, end.key, Relation.TOUCHES, path, focal=focal)
