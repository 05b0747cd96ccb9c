"""Comma-separated tables, whose columns become arrays by name.

`group_columns` says which columns are stacked into one array, and `narrow` in which precision
numbers arrive. Not-a-number and infinity pass: where a model does not take them, the model room
names the row.
"""

import csv
import io
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice

import numpy as np
import numpy.typing as npt

from amortis._errors import DataError
from amortis.data.columns import Arrays, assemble, chosen, group_columns
from amortis.data.files import FilePath, open_decompressed

_ROWS_AT_ONCE = 8192
"""Rows of text held in memory before they are turned into numbers."""

_Line = tuple[int, list[str]]
"""The number of a line in its file, from 1, and its cells."""


def csv_names(path: FilePath) -> list[str]:
    """List the arrays that the columns of a CSV file make, reading its header only.

    Args:
        path: Where the file is, plain or compressed by gzip.

    Returns:
        Names in the order of the file.

    Raises:
        MissingFileError: Nothing is there.
        DataError: There is no header, or its names do not form arrays.
    """
    with closing(_lines(path)) as lines:
        return list(group_columns(_header(path, lines), path))


def read_csv(path: FilePath, only: Collection[str] | None = None) -> Arrays:
    """Read a comma-separated table: one line of column names, then one line of numbers per row.

    A column of whole numbers becomes int32, any other float32 (float64 where JAX is in 64 bit).
    Columns `x.0`, `x.1`, ... become one array `x` of shape (rows, D).

    Args:
        path: Where the file is, plain or compressed by gzip; UTF-8.
        only: Arrays to read; the cells of other columns are not looked at. All by default.

    Returns:
        Arrays by name, with one entry per row on their first axis.

    Raises:
        MissingFileError: Nothing is there.
        DataError: There is no header or no row, a line has too few or too many cells, or a cell
            is empty or is not a number; line and column are named.
    """
    with closing(_lines(path)) as lines:
        header = _header(path, lines)
        groups = chosen(group_columns(header, path), only)
        positions = {name: header.index(name) for members in groups.values() for name in members}
        blocks: dict[str, list[npt.NDArray[np.generic]]] = {name: [] for name in positions}
        empty = True
        while block := list(islice(lines, _ROWS_AT_ONCE)):
            empty = False
            _check_widths(path, block, len(header))
            for name, position in positions.items():
                blocks[name].append(_column(path, name, block, position))
    if empty:
        raise DataError(f"'{path}' has a header and no rows, expected one line per row; add them")
    return assemble(groups, {name: np.concatenate(parts) for name, parts in blocks.items()}, path)


def _lines(path: FilePath) -> Generator[_Line, None, None]:
    """Yield each line; blank lines may only end the file, elsewhere they may be lost values."""
    with open_decompressed(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, strict=True)
        blank: int | None = None
        try:
            for cells in reader:
                if not cells:
                    blank = blank or reader.line_num
                elif blank is not None:
                    raise DataError(f"'{path}', line {blank}: the line is blank; remove it")
                else:
                    yield reader.line_num, cells
        except csv.Error as error:
            raise DataError(
                f"'{path}', line {reader.line_num}: not comma-separated text ({error}); "
                "check its quotation marks"
            ) from error
        except UnicodeDecodeError as error:
            raise DataError(
                f"'{path}' is not text in UTF-8; check that it is a CSV file, or save it as UTF-8"
            ) from error


def _header(path: FilePath, lines: Iterator[_Line]) -> list[str]:
    _, cells = next(lines, (0, None))
    if cells is None:
        raise DataError(f"'{path}' is empty, expected a line of column names and rows of numbers")
    names = [" ".join(cell.split()) for cell in cells]
    if all(_numbers([name]) is not None for name in names):
        raise DataError(
            f"'{path}', line 1: got numbers ({_shown(names[0])}), expected column names; "
            "add a first line that names the columns, for example x.0,x.1,y"
        )
    other = next((mark for mark in (";", "\t") if len(cells) == 1 and mark in cells[0]), None)
    if other is not None:
        raise DataError(
            f"'{path}', line 1: the names are separated by {other!r}, expected commas; "
            "save the file with commas, and with points in decimal numbers"
        )
    # A table saved with its index has a first column without a name: no argument can ask for it.
    return [name or f"column {i}" for i, name in enumerate(names, start=1)]


def _check_widths(path: FilePath, block: Sequence[_Line], width: int) -> None:
    for line, cells in block:
        if len(cells) != width:
            raise DataError(
                f"'{path}', line {line}: got {len(cells)} cells, expected {width} as in the "
                "header; correct the line"
            )


def _column(
    path: FilePath, name: str, block: Sequence[_Line], position: int
) -> npt.NDArray[np.generic]:
    cells = [cells[position] for _, cells in block]
    values = _numbers(cells)
    if values is not None:
        return values
    line, cell = next(
        (line, cells[position]) for line, cells in block if _numbers([cells[position]]) is None
    )
    if not cell.strip():
        raise DataError(
            f"'{path}', line {line}, column '{name}': the cell is empty, expected a number; "
            "fill it in, or remove the line"
        )
    raise DataError(
        f"'{path}', line {line}, column '{name}': got {_shown(cell)}, expected a number; "
        "correct it, or encode the column as numbers"
    )


def _numbers(cells: Sequence[str]) -> npt.NDArray[np.generic] | None:
    """Turn cells into int64 if all are whole numbers, else into float64, else into None."""
    if "_" in "".join(cells):
        # Python reads 1_000 as a number; other tools call it text, and so does this one.
        return None
    with suppress(ValueError, OverflowError):
        return np.fromiter(map(int, cells), np.int64, len(cells))
    with suppress(ValueError):
        return np.fromiter(map(float, cells), np.float64, len(cells))
    return None


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else f"{cell[:40]}...")
