"""What an experiment leaves behind: one Markdown page, its pictures, and its numbers as JSON."""

import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amortis.report import Cell, Column, markdown_table, replacing


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with its caption.

    Attributes:
        caption: what stands above it.
        columns: its columns.
        rows: one cell per column in each row.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


@dataclasses.dataclass(frozen=True)
class Sheet:
    """The results of an experiment as a person reads them.

    Attributes:
        name: of the experiment; its files are named after it.
        title: of the page.
        what: what is done, in Markdown.
        learned: what came out, one sentence each.
        tables: its tables.
        figures: matplotlib figures by caption.
        result: the frozen record behind it all.
    """

    name: str
    title: str
    what: str
    learned: Sequence[str]
    tables: Sequence[Table]
    figures: Mapping[str, Any]
    result: Any


def write_sheet(sheet: Sheet, folder: Path, command: str) -> list[str]:
    """Write `NAME.md`, `NAME.json` and a PNG for each figure.

    Args:
        sheet: the results.
        folder: where to; it must exist.
        command: what made it, for the reader to repeat.

    Returns:
        The names written.

    Raises:
        ArgumentError: a file cannot be written.
    """
    files: dict[str, bytes] = {}
    pictures: list[str] = []
    for i, (caption, figure) in enumerate(sheet.figures.items()):
        name = f"{sheet.name}-{i + 1}.png"
        content = io.BytesIO()
        figure.savefig(content, format="png")
        files[name] = content.getvalue()
        pictures.append(f"![{caption}]({name})\n\n{caption}")
    learned = "\n".join(f"* {sentence}" for sentence in sheet.learned)
    tables = [f"{t.caption}\n\n{markdown_table(t.columns, t.rows)}" for t in sheet.tables]
    heading = f"# {sheet.title}"
    parts = [heading, sheet.what, f"```\n{command}\n```", learned, *pictures, *tables]
    files[f"{sheet.name}.md"] = ("\n\n".join(parts) + "\n").encode()
    numbers = json.dumps(plain(dataclasses.asdict(sheet.result)), indent=1, allow_nan=False)
    files[f"{sheet.name}.json"] = (numbers + "\n").encode()
    for name, content in files.items():
        with replacing(folder / name) as stream:
            stream.write(content)
    return list(files)


def plain(value: Any) -> Any:
    """The same in what JSON has: lists for tuples, and None for numbers that are not finite."""
    if isinstance(value, dict):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def known(value: float) -> float | None:
    """A number for a table, where there is one."""
    return value if math.isfinite(value) else None
