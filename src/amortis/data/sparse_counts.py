"""`SparseCounts`: rows of counts of which most are zero, such as documents of words."""

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, Num

from amortis._errors import ArgumentError, DataError
from amortis._require import require_count
from amortis.data.archives import npz_names, read_npz
from amortis.data.files import FilePath
from amortis.data.stored_matrix import FORMAT, SHAPE, require_compressed_rows, stored_columns

_WHERE, _COUNTS, _SCIPY = ("indptr", "indices"), "counts", "data"


@dataclasses.dataclass(frozen=True, eq=False)
class SparseCounts:
    r"""Counts in compressed rows, which are handed out as dense blocks.

    Row n has `counts[i]` in column `indices[i]` for $i$ from `indptr[n]` to `indptr[n + 1] - 1`,
    as in `scipy.sparse.csr_matrix((counts, indices, indptr))`, and zero elsewhere. A column that
    is named twice in a row has the sum.

    Attributes:
        indptr: where each row begins and ends, shape (N + 1,), from 0 to the number of entries.
        indices: columns, shape (M,), from 0 to `columns` − 1.
        counts: whole numbers of at least zero, shape (M,).
        columns: number of columns V, for documents the size of the vocabulary.
        name: what messages call it.

    Raises:
        ArgumentError: `columns` is no whole number, or below one.
        DataError: something other than arrays of one axis, no rows, a row without a count above
            zero, columns beyond `columns`, counts that are negative or not whole, or arrays that
            do not fit each other.

    Example:
        >>> import numpy as np
        >>> counts = SparseCounts(np.array([0, 2, 3]), np.array([0, 2, 1]), np.array([4, 1, 2]), 3)
        >>> counts.rows(0, 2)
        array([[4., 0., 1.],
               [0., 2., 0.]], dtype=float32)
    """

    indptr: Integer[np.ndarray, " bounds"]
    indices: Integer[np.ndarray, " entries"]
    counts: Num[np.ndarray, " counts"]
    columns: int
    name: str = "the counts"

    def __post_init__(self) -> None:
        require_count(f"{self.name}:", "columns", self.columns, "pass the vocabulary's size")
        _require_arrays(self.name, self.indptr, self.indices, self.counts)
        _require_bounds(self)
        _require_columns(self)
        _require_counts(self)
        for name in _WHERE:  # NumPy counts by signed numbers only
            object.__setattr__(self, name, getattr(self, name).astype(np.int64, copy=False))
        _require_full_rows(self)

    def __repr__(self) -> str:
        return f"SparseCounts({len(self)} rows, {self.columns} columns, {len(self.counts)} entries)"

    def __len__(self) -> int:
        """Number of rows N."""
        return len(self.indptr) - 1

    @property
    def totals(self) -> Float[np.ndarray, " rows"]:
        """The sum of every row."""
        return np.add.reduceat(self.counts.astype(np.float64), self.indptr[:-1])

    @property
    def column_totals(self) -> Float[np.ndarray, " columns"]:
        """The sum of every column."""
        return np.bincount(self.indices, self.counts.astype(np.float64), self.columns)

    def rows(self, start: int, stop: int) -> Float[np.ndarray, "block columns"]:
        """The rows from `start` up to, without, `stop`, dense and in single precision.

        Args:
            start: first row.
            stop: row after the last one; beyond the end there are none.
        """
        start, stop, _ = slice(start, stop).indices(len(self))
        first, last = self.indptr[start], self.indptr[max(stop, start)]
        lengths = np.diff(self.indptr[start : max(stop, start) + 1])
        block = np.zeros((len(lengths), self.columns), np.float32)
        which = np.repeat(np.arange(len(lengths)), lengths)
        np.add.at(block, (which, self.indices[first:last]), self.counts[first:last])
        return block

    def blocks(self, rows: int) -> Iterator[Float[np.ndarray, "block columns"]]:
        """Dense blocks of `rows` rows, the last one shorter, made as they are asked for.

        What `amortis.stream` takes for a model of one array, so that the dense rows of a large set
        never are in memory together.

        Args:
            rows: rows of a block.

        Raises:
            ArgumentError: below one.
        """
        if rows < 1:
            raise ArgumentError(f"blocks of {rows} rows; expected at least one: ask for more")
        return (self.rows(start, start + rows) for start in range(0, len(self), rows))


def read_counts(path: FilePath, columns: int) -> SparseCounts:
    """Read counts in compressed rows from an NPZ file of `indptr`, `indices` and `counts`.

    What `scipy.sparse.save_npz` writes of a CSR matrix is read too; it calls the counts `data`.
    Where the file has the matrix's `shape`, it must be of as many columns.

    Args:
        path: where the file is.
        columns: number of columns V.

    Returns:
        The counts, checked.

    Raises:
        MissingFileError: nothing is there.
        DataError: no archive, one of the arrays is missing, the matrix is not in compressed rows or
            has other columns, or what `SparseCounts` refuses.
    """
    present = npz_names(path)
    values = _SCIPY if _SCIPY in present and _COUNTS not in present else _COUNTS
    wanted = (*_WHERE, values)
    said = [name for name in (SHAPE, FORMAT) if name in present]
    beside = read_npz(path, only=said) if said else {}
    require_compressed_rows(os.fspath(path), beside)
    missing = [name for name in wanted if name not in present]
    if missing:
        raise DataError(
            f"'{path}' has no array '{missing[0]}'; expected {', '.join(wanted)}: write it with "
            f"numpy.savez(path, indptr=x.indptr, indices=x.indices, counts=x.data)"
        )
    arrays = read_npz(path, only=wanted)
    given: list[Any] = [arrays[name] for name in wanted]
    _require_arrays(f"'{path}'", *given, names=wanted)
    indptr, indices, counts = given
    known = stored_columns(os.fspath(path), beside, len(indptr) - 1)
    if known not in (None, columns):
        raise DataError(
            f"'{path}' is a matrix of {known} columns; expected {columns}, as was asked for: pass "
            f"columns={known}, or write the file with all words of the vocabulary"
        )
    return SparseCounts(indptr, indices, counts, columns, f"'{path}'")


def _require_arrays(owner: str, *arrays: Any, names: tuple[str, ...] = (*_WHERE, _COUNTS)) -> None:
    for name, array in zip(names, arrays, strict=True):
        known = isinstance(array, np.ndarray)
        kinds = "iu" if name in _WHERE else "iuf"
        if not known or array.ndim != 1 or array.dtype.kind not in kinds:
            got = f"{array.dtype} of shape {array.shape}" if known else type(array).__name__
            raise DataError(
                f"{owner}, array '{name}': got {got}; expected a NumPy array of one axis of "
                f"whole numbers: pass the arrays of a CSR matrix"
            )


def _require_bounds(counts: SparseCounts) -> None:
    bounds, entries = counts.indptr, len(counts.indices)
    if len(bounds) < 2:
        raise DataError(f"{counts.name} have no rows; expected at least one: pass documents")
    if len(counts.counts) != entries:
        raise DataError(
            f"{counts.name} have {len(counts.counts)} counts for {entries} columns; expected one "
            f"for each: pass the arrays of one CSR matrix"
        )
    if bounds[0] != 0 or bounds[-1] != entries or (bounds[1:] < bounds[:-1]).any():
        raise DataError(
            f"{counts.name} have rows from entry {bounds[0]} to {bounds[-1]} of {entries}; "
            f"expected indptr to grow from 0 to {entries}: pass the arrays of one CSR matrix"
        )


def _row_of(counts: SparseCounts, entry: int) -> int:
    return int(np.searchsorted(counts.indptr, entry, side="right")) - 1


def _require_columns(counts: SparseCounts) -> None:
    outside = (counts.indices < 0) | (counts.indices >= counts.columns)
    if outside.any():
        entry = int(np.argmax(outside))
        raise DataError(
            f"row {_row_of(counts, entry)} of {counts.name} has a count in column "
            f"{counts.indices[entry]}, outside the vocabulary; expected columns 0 to "
            f"{counts.columns - 1}: leave such words out, or give the whole vocabulary"
        )


def _require_counts(counts: SparseCounts) -> None:
    values = counts.counts
    with np.errstate(invalid="ignore"):
        bad = ~((values >= 0) & (values == np.floor(values)) & np.isfinite(values))
    if bad.any():
        entry = int(np.argmax(bad))
        raise DataError(
            f"row {_row_of(counts, entry)} of {counts.name} has the count {values[entry]} in "
            f"column {counts.indices[entry]}; expected a whole number of at least 0: pass how "
            f"often each word occurs, not weights"
        )


def _require_full_rows(counts: SparseCounts) -> None:
    entries = np.concatenate([[0.0], np.cumsum(counts.counts.astype(np.float64))])
    empty = np.diff(entries[counts.indptr]) == 0
    if empty.any():
        raise DataError(
            f"row {int(np.argmax(empty))} of {counts.name} is empty ({int(empty.sum())} such in "
            f"all); expected at least one count in every row: leave these documents out"
        )
