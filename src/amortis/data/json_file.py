"""JSON files of numbers and (nested) lists of numbers by name, as Stan's data files are."""

import json
from collections.abc import Collection
from typing import Any

import numpy as np

from amortis._errors import DataError
from amortis.data.columns import Arrays
from amortis.data.files import FilePath, existing_file


def json_names(path: FilePath) -> list[str]:
    """List the values of a JSON file.

    Args:
        path: Where the file is.

    Returns:
        Names in the order of the file.

    Raises:
        MissingFileError: Nothing is there.
        DataError: The file is not one JSON object.
    """
    return list(_object(path))


def read_json(path: FilePath, only: Collection[str] | None = None) -> Arrays:
    """Read the values of a JSON file as arrays: `{"N": 3, "y": [1.5, 2.0, 0.5]}`.

    Lists of whole numbers become integers, others reals; lists of lists become matrices.

    Args:
        path: Where the file is.
        only: Names to read; the others are not looked at. All by default.

    Returns:
        Arrays by name; a single number is an array without axes.

    Raises:
        MissingFileError: Nothing is there.
        DataError: The file is not one JSON object, or a value is not made of numbers.
    """
    values = _object(path)
    return {n: _array(path, n, v) for n, v in values.items() if only is None or n in only}


def _object(path: FilePath) -> dict[str, Any]:
    try:
        values = json.loads(existing_file(path).read_text("utf8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' is not JSON ({error}); expected an object of arrays") from error
    if not isinstance(values, dict):
        raise DataError(
            f"'{path}' holds a JSON {type(values).__name__}, expected an object of arrays by name; "
            'write {"x": [...]}'
        )
    return values


def _array(path: FilePath, name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(
            f"'{path}', '{name}': lists of unequal lengths, expected a rectangular array; pad it, "
            f"or give the group of each entry as an index"
        ) from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"'{path}', '{name}': expected numbers, got {str(value)[:40]!r}; drop it")
    return array
