"""Tables of names and numbers, as aligned text and as Markdown."""

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

Cell: TypeAlias = str | int | float | None
"""What stands in a table; None is a value that does not exist, shown as a dash."""

_GAP = "  "


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        title: its heading.
        unit: what its numbers are measured in, shown in the heading.
        form: format of its floats, as in `format(value, form)`; whole numbers are shown whole.
    """

    title: str
    unit: str = ""
    form: str = ".4g"

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


def text_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    """Lay out a table in aligned columns: numbers to the right, text to the left.

    Args:
        columns: the columns.
        rows: one cell per column in each row.

    Returns:
        Lines of text without a newline at the end: headings, a rule, and the rows.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.

    Example:
        >>> print(text_table([Column("site"), Column("mean", "m", ".2f")], [["theta", 3.14159]]))
        site   mean (m)
        -----  --------
        theta      3.14
    """
    shown = _shown(columns, rows)
    numeric = _numeric(columns, rows)
    lines = [[column.heading for column in columns], *shown]
    widths = [max(len(line[j]) for line in lines) for j in range(len(columns))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        _GAP.join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def markdown_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    """Write a table in Markdown: numbers to the right, text to the left.

    Args:
        columns: the columns.
        rows: one cell per column in each row.

    Returns:
        Lines of Markdown without a newline at the end.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.

    Example:
        >>> print(markdown_table([Column("site"), Column("mean")], [["theta", 3.0]]))
        | site | mean |
        |---|---:|
        | theta | 3 |
    """
    lines = [[column.heading for column in columns], *_shown(columns, rows)]
    marks = ["---:" if right else "---" for right in _numeric(columns, rows)]
    written = [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    ]
    written.insert(1, "|" + "|".join(marks) + "|")
    return "\n".join(written)


def _shown(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    return [
        [_text(cell, column) for cell, column in zip(row, columns, strict=True)] for row in rows
    ]


def _text(cell: Cell, column: Column) -> str:
    if cell is None:
        return "–"
    return format(cell, column.form) if isinstance(cell, float) else str(cell)


def _numeric(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[bool]:
    """Which columns hold numbers only, among them at least one."""
    cells = [[row[j] for row in rows if row[j] is not None] for j in range(len(columns))]
    return [bool(of) and not any(isinstance(cell, str) for cell in of) for of in cells]
