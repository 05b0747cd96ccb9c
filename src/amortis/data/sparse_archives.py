"""NPZ files that may hold a matrix in compressed rows, which is read as a dense array."""

import os
from collections.abc import Collection
from typing import Any

import numpy as np

from amortis._errors import DataError
from amortis.data.archives import npz_names, read_npz
from amortis.data.columns import Arrays
from amortis.data.files import FilePath
from amortis.data.matching import UNNAMED
from amortis.data.sparse_counts import SparseCounts
from amortis.data.stored_matrix import FORMAT, SHAPE, require_compressed_rows, stored_columns

_WHERE = ("indptr", "indices")
_COUNTS, _SCIPY = "counts", "data"
_MOST_NUMBERS = 2**31


def archive_names(path: FilePath) -> list[str]:
    """List the arrays of an NPZ file; a matrix in compressed rows is one of them.

    Args:
        path: where the file is.

    Returns:
        Names in the order of the file, those of a matrix's parts as one: `counts` for the parts
        `indptr`, `indices`, `counts`, and `UNNAMED` for what `scipy.sparse.save_npz` writes.

    Raises:
        MissingFileError: nothing is there.
        DataError: the file is not an archive of arrays.
    """
    names = npz_names(path)
    parts = _parts(names)
    return [*([_name(parts)] if parts else []), *(name for name in names if name not in parts)]


def read_archive(path: FilePath, only: Collection[str] | None = None) -> Arrays:
    """Read an NPZ file; a matrix in compressed rows becomes dense, in single precision.

    Its number of columns is the second of `shape`, if that is in the file, else one more than the
    largest column that occurs.

    Args:
        path: where the file is.
        only: names to read, as `archive_names` lists them. All by default.

    Returns:
        Arrays by name.

    Raises:
        MissingFileError: nothing is there.
        DataError: no archive, damaged, or a matrix that is not in compressed rows, is too large to
            be dense, or holds counts that `SparseCounts` refuses.
    """
    parts = _parts(npz_names(path))
    if not parts:
        return read_npz(path, only)
    name = _name(parts)
    arrays = read_npz(path, None if only is None else [*only, *parts])
    found = {key: value for key, value in arrays.items() if key not in parts}
    if only is None or name in only:
        found[name] = _dense(os.fspath(path), {key: arrays[key] for key in parts})
    return found


def _parts(names: Collection[str]) -> tuple[str, ...]:
    """Names of the parts of a matrix, if the file holds one."""
    values = next((name for name in (_COUNTS, _SCIPY) if name in names), None)
    if values is None or not all(name in names for name in _WHERE):
        return ()
    return (*_WHERE, values, *(name for name in (SHAPE, FORMAT) if name in names))


def _name(parts: Collection[str]) -> str:
    return _COUNTS if _COUNTS in parts else UNNAMED


def _dense(path: str, parts: Arrays) -> np.ndarray:
    require_compressed_rows(path, parts)
    given: Any = parts[_COUNTS if _COUNTS in parts else _SCIPY]
    indptr, indices = (_whole(path, name, parts[name]) for name in _WHERE)
    rows = len(indptr) - 1
    columns = stored_columns(path, parts, rows) or int(indices.max(initial=0)) + 1
    if rows * columns > _MOST_NUMBERS:
        raise DataError(
            f"'{path}' is a sparse matrix of {rows} x {columns}; expected at most "
            f"{_MOST_NUMBERS} numbers when dense: fit some of its rows, and infer for the others "
            f"by amortis.stream, from the blocks of an amortis.SparseCounts"
        )
    if _COUNTS in parts:
        counts = SparseCounts(indptr, indices, given, columns, f"'{path}'")
        return counts.rows(0, rows)
    fits = len(given) == len(indices) == indptr[-1] and (np.diff(indptr) >= 0).all()
    if not fits or indptr[0] != 0 or ((indices < 0) | (indices >= columns)).any():
        raise DataError(
            f"'{path}' has {len(given)} values, {len(indices)} columns and rows up to entry "
            f"{indptr[-1]}, which is no matrix of {rows} x {columns}: write it with "
            f"scipy.sparse.save_npz"
        )
    dense = np.zeros((rows, columns), np.float32)
    np.add.at(dense, (np.repeat(np.arange(rows), np.diff(indptr)), indices), given)
    return dense


def _whole(path: str, name: str, array: Any) -> Any:
    if array.ndim != 1 or array.dtype.kind not in "iu" or (name == "indptr" and len(array) < 2):
        raise DataError(
            f"'{path}', array '{name}': got {array.dtype} of shape {array.shape}; expected one "
            f"axis of whole numbers: write the arrays of a CSR matrix"
        )
    return array.astype(np.int64, copy=False)  # NumPy's lengths and places are signed
