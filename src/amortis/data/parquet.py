"""Parquet tables, whose columns become arrays by name, as those of comma-separated tables do."""

from collections.abc import Collection, Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from amortis._errors import DataError, MissingDependencyError
from amortis.data.columns import Arrays, assemble, chosen, group_columns
from amortis.data.files import FilePath, existing_file


def parquet_names(path: FilePath) -> list[str]:
    """List the arrays that the columns of a Parquet file make, reading its schema only.

    Args:
        path: Where the file is.

    Returns:
        Names in the order of the file.

    Raises:
        MissingFileError: Nothing is there.
        MissingDependencyError: pyarrow is not installed.
        DataError: The file is not Parquet, or its names do not form arrays.
    """
    with _opened(path) as file:
        return list(group_columns(file.schema_arrow.names, path))


def read_parquet(path: FilePath, only: Collection[str] | None = None) -> Arrays:
    """Read the columns of a Parquet table.

    Whole numbers become int32, reals float32 (float64 where JAX is in 64 bit), booleans stay. A
    column of lists of one length D becomes an array of shape (rows, D), and so do columns `x.0`,
    `x.1`, ... under the name `x`.

    Args:
        path: Where the file is.
        only: Arrays to read; other columns are not looked at. All by default.

    Returns:
        Arrays by name, with one entry per row on their first axis.

    Raises:
        MissingFileError: Nothing is there.
        MissingDependencyError: pyarrow is not installed.
        DataError: The file is not Parquet or has no row; a column does not hold numbers, has a
            missing value, or has lists of different lengths.
    """
    with _opened(path) as file:
        if file.metadata.num_rows == 0:
            raise DataError(
                f"'{path}' has columns and no rows, expected one row per datum; add them"
            )
        groups = chosen(group_columns(file.schema_arrow.names, path), only)
        names = [name for members in groups.values() for name in members]
        table = file.read(columns=names)
        return assemble(groups, {name: _column(path, name, table) for name in names}, path)


@contextmanager
def _opened(path: FilePath) -> Generator[Any, None, None]:
    try:
        arrow = import_module("pyarrow")
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingDependencyError(
            f"'{path}' is a Parquet file, and reading it needs pyarrow, which is not installed; "
            'run: pip install "amortis[parquet]"'
        ) from error
    try:
        with parquet.ParquetFile(existing_file(path)) as file:
            yield file
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"'{path}' is not a Parquet file, or is damaged; write or fetch it again"
        ) from error


def _column(path: FilePath, name: str, table: Any) -> npt.NDArray[np.generic]:
    """One column of an Arrow table as an array; Arrow carries no types, hence `Any`."""
    types, compute = import_module("pyarrow.types"), import_module("pyarrow.compute")
    values = table.column(name)
    _refuse_missing(path, name, values.is_null())
    kind, shape = values.type, (len(values),)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        lengths = compute.list_value_length(values).to_numpy()
        if (lengths != lengths[0]).any():
            row = int(np.argmax(lengths != lengths[0]))
            raise DataError(
                f"'{path}', column '{name}': row {row} (from 0) lists {lengths[row]} values, "
                f"expected {lengths[0]} as in row 0; make the lists equally long"
            )
        kind, shape = kind.value_type, (len(values), int(lengths[0]))
        values = compute.list_flatten(values)
        _refuse_missing(path, name, values.is_null(), shape[1])
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise DataError(
            f"'{path}', column '{name}': got values of type {kind}, expected numbers; "
            "convert the column before saving"
        )
    column: npt.NDArray[np.generic] = values.to_numpy().reshape(shape)
    return column


def _refuse_missing(path: FilePath, name: str, missing: Any, width: int = 1) -> None:
    first = np.flatnonzero(missing.to_numpy())[:1]
    if first.size:
        raise DataError(
            f"'{path}', column '{name}': the value in row {first[0] // width} (from 0) is missing, "
            "expected a number; fill it in, or remove the row"
        )
