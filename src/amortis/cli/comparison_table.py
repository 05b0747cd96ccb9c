"""Reference, result and ratio side by side, as rows of a table."""

import math
from typing import Any

from amortis.experiments.comparison import Reproduction
from amortis.report import Cell, Column

COLUMNS = (
    Column("what"),
    Column("quantity"),
    Column("reference", form=".8g"),
    Column("result", form=".8g"),
    Column("ratio", form=".5f"),
    Column("difference", form=".4g"),
    Column("time", "s", ".1f"),
    Column("note"),
)


def comparison_rows(found: Reproduction) -> list[list[Cell]]:
    """The lines of a reproduction as rows of a table; what is not known is None."""
    return [
        [
            line.name,
            line.quantity,
            _known(line.reference),
            _known(line.result),
            _known(line.ratio),
            _known(line.difference),
            _known(line.seconds),
            line.note,
        ]
        for line in found.lines
    ]


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
