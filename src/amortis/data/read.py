"""Data files of every kind, read by what their names end with."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from os import fspath
from typing import Any

from amortis._errors import DataError
from amortis.data.columns import Arrays
from amortis.data.comma_separated import csv_names, read_csv
from amortis.data.files import FilePath
from amortis.data.idx import read_idx
from amortis.data.json_file import json_names, read_json
from amortis.data.matching import UNNAMED, match_arguments, match_names
from amortis.data.parquet import parquet_names, read_parquet
from amortis.data.sparse_archives import archive_names, read_archive


@dataclass(frozen=True)
class _Format:
    """One kind of file: the end of its name, and how its arrays are listed and read."""

    ending: re.Pattern[str]
    names: Callable[[FilePath], list[str]]
    read: Callable[[FilePath, Collection[str] | None], Arrays]


def _idx_names(path: FilePath) -> list[str]:
    return [UNNAMED]


def _read_idx(path: FilePath, only: Collection[str] | None) -> Arrays:
    return {UNNAMED: read_idx(path)}


def _ending(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern + r"\Z", re.IGNORECASE)


_FORMATS = (
    _Format(_ending(r"\.csv(\.gz)?"), csv_names, read_csv),
    _Format(_ending(r"\.parquet"), parquet_names, read_parquet),
    _Format(_ending(r"\.npz"), archive_names, read_archive),
    _Format(_ending(r"\.json"), json_names, read_json),
    # Published names differ: images.idx, images-idx3-ubyte.gz, images.idx3-ubyte.
    _Format(_ending(r"[.-]idx([0-9]+-[a-z]+)?(\.gz)?"), _idx_names, _read_idx),
)


def array_names(path: FilePath) -> list[str]:
    """List the arrays of a data file without reading their values.

    Args:
        path: Where the file is; see `read_arrays` for the formats.

    Returns:
        Names in the order of the file; `UNNAMED` for an IDX file's array, or a SciPy matrix.

    Raises:
        MissingFileError: Nothing is there.
        MissingDependencyError: The package that reads this format is not installed.
        DataError: The name ends like no known format, or the file is not of that format.
    """
    return _format_of(path).names(path)


def read_arrays(path: FilePath, only: Collection[str] | None = None) -> Arrays:
    """Read a data file as arrays by name.

    The end of the file's name says how: `.csv` and `.csv.gz` (`read_csv`), `.parquet`
    (`read_parquet`), `.npz` (`read_archive`), `.json` (`read_json`), `.idx`, `-idx3-ubyte`,
    `.idx1-ubyte` and the like, with or without `.gz` (`read_idx`).

    Args:
        path: Where the file is.
        only: Arrays to read; others are not looked at. All by default.

    Returns:
        Arrays by name; the one array of an IDX file has the name `UNNAMED`.

    Raises:
        MissingFileError: Nothing is there.
        MissingDependencyError: The package that reads this format is not installed.
        DataError: The name ends like no known format, or the file's content is not as expected.
    """
    return _format_of(path).read(path, only)


def read_arguments(
    function: Callable[..., Any], path: FilePath
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read from a data file the arrays that a model function takes, and no others.

    A column of text or with empty cells does not matter where the function does not ask for it.

    Args:
        function: The model function.
        path: Where the file is; see `read_arrays` for the formats.

    Returns:
        Arrays by argument name, to be given as keyword arguments, a single number as such; and the
        names of arrays in the file that no argument uses.

    Raises:
        MissingFileError: Nothing is there.
        MissingColumnError: An argument without default has no array.
        MissingDependencyError: The package that reads this format is not installed.
        DataError: The file's content is not as expected; see `read_arrays`, `match_arguments`.
    """
    pairs, unused = match_names(function, array_names(path), path)
    matched, _ = match_arguments(function, read_arrays(path, only=pairs.values()), path)
    # A size such as J is wanted as a number: an array would be traced.
    return {n: v.item() if v.ndim == 0 else v for n, v in matched.items()}, unused


def _format_of(path: FilePath) -> _Format:
    for format_ in _FORMATS:
        if format_.ending.search(fspath(path)):
            return format_
    raise DataError(
        f"'{path}' ends like no format read here, expected .csv, .csv.gz, .parquet, .npz, .json, "
        ".idx, -idx3-ubyte or -idx1-ubyte (also .gz); convert it, for example to CSV"
    )
