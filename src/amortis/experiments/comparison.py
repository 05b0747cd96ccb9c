"""A reference value beside the one that was measured."""

import dataclasses
import enum
import math
from collections.abc import Callable

from amortis import Monitor

MonitorFor = Callable[[str], Monitor | None]
"""Makes a monitor for each fit of an experiment by its name."""


class Setting(enum.Enum):
    """Which version of an experiment to run."""

    PAPER = "paper"
    CODE = "code"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One line of a reproduction.

    Attributes:
        name: what is compared, such as "A-VI, k = 16".
        quantity: the quantity and its unit.
        reference: the value to expect, NaN where none is known.
        result: the value measured.
        seconds: wall time of the fit behind it, compilation included.
        note: status of the fit, or what to know about the comparison.
    """

    name: str
    quantity: str
    reference: float
    result: float
    seconds: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """Result over reference; NaN without a reference."""
        return self.result / self.reference if self.reference else math.nan

    @property
    def difference(self) -> float:
        """Result minus reference."""
        return self.result - self.reference


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """All lines of an experiment, with a sentence on what they are.

    Attributes:
        title: what was run.
        lines: the comparisons.
        remark: how to read the references.
    """

    title: str
    lines: tuple[Comparison, ...]
    remark: str = ""
