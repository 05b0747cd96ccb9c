"""Blocks of a stream cut into pieces of one length, which one compiled function can serve."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool

from amortis._errors import ArgumentError, DataError, NonFiniteDataError, UnequalLengthsError
from amortis._require import shown
from amortis.diagnostics.inferred import Missing
from amortis.model import AbstractRebind, Arguments

_SHOWN = 5
"""Rows that a message names."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some rows, padded to the length of all pieces.

    Attributes:
        start: position of the first row in the stream.
        arguments: the model's arguments, with finite rows only.
        missing: rows whose data were not finite; one entry per row that is not padding.
    """

    start: int
    arguments: Arguments
    missing: Bool[np.ndarray, " rows"]


def calls(blocks: Any) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Positional and keyword arguments of every block.

    Args:
        blocks: an iterable of tuples of positional arguments, of mappings of keyword arguments, or
            of single arrays; or one array or mapping, which is one block.

    Raises:
        ArgumentError: neither, or a block that is neither.
    """
    if hasattr(blocks, "shape") or isinstance(blocks, Mapping):
        blocks = [blocks]
    if not isinstance(blocks, Iterable) or isinstance(blocks, str | bytes):
        raise ArgumentError(
            f"blocks are {shown(blocks)}; expected an iterable of the model's data, each a tuple "
            f"of its arguments, a dict by their names, or an array: pass [x_new]"
        )
    for block in blocks:
        if isinstance(block, Mapping):
            yield (), {str(name): value for name, value in block.items()}
        elif isinstance(block, tuple):
            yield block, {}
        elif hasattr(block, "shape") or isinstance(block, list):
            yield (block,), {}
        else:
            raise ArgumentError(
                f"a block is {shown(block)}; expected a tuple of the model's arguments, a dict by "
                f"their names, or an array: put one block into a list"
            )


def pieces(
    rebind: AbstractRebind,
    blocks: Any,
    rows: int,
    missing: Missing,
    fill: Mapping[str, Any],
) -> Iterator[Piece]:
    """Cut blocks into pieces, reading no more rows at once than a piece has.

    Args:
        rebind: knows the form of the data.
        blocks: as `calls` takes them.
        rows: most rows of a piece; smaller blocks make for shorter pieces, of a power of two.
        missing: what to do about rows that are not finite.
        fill: by array, rows that are finite, for a piece that has none of its own to stand in.

    Raises:
        DataError: another form, unequal lengths, or rows that are not finite where refused.
    """
    start, most = 0, 1
    for args, kwargs in calls(blocks):
        whole = rebind.flatten(args, kwargs)
        rebind.form.require(whole)
        names = rebind.form.row_names
        size = _size(whole, names)
        most = max(most, min(rows, 2 ** (size - 1).bit_length()))
        length = _length(whole, names, most)
        for first in range(0, size, length):
            taken = _taken(whole, names, first, min(first + length, size))
            bad = _not_finite(taken, names)
            if bad.any():
                if missing is Missing.REFUSED:
                    raise NonFiniteDataError(_refusal(start + np.flatnonzero(bad)))
                taken = _filled(taken, names, bad, fill)
            padded = _mapped(taken, names, partial(_padded, length=length))
            yield Piece(start, rebind.form.alike(padded.checked()), bad)
            start += len(bad)


def _size(whole: Arguments, names: tuple[str, ...]) -> int:
    lengths = {n: v.shape[0] for n, v in whole.named_arrays().items() if n in names}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise UnequalLengthsError(
            f"the new data have unequal leading lengths ({listed}); expected one row of each per "
            f"datum: align the arrays"
        )
    size = next(iter(lengths.values()))
    if size == 0:
        raise DataError("a block has no rows; expected at least one: leave it out")
    return size


def _length(whole: Arguments, names: tuple[str, ...], rows: int) -> int:
    """The length of pieces, unlike that of any array that must not be taken for rows."""
    taken = {n for name, n in whole.lengths().items() if name not in names}
    while rows in taken:
        rows += 1
    return rows


def _mapped(arguments: Arguments, names: tuple[str, ...], function: Any) -> Arguments:
    """The same arguments with a function applied to the arrays of rows."""
    pairs = zip(arguments.names, arguments.leaves, strict=True)
    leaves = tuple(function(leaf) if name in names else leaf for name, leaf in pairs)
    return dataclasses.replace(arguments, leaves=leaves)


def _taken(whole: Arguments, names: tuple[str, ...], first: int, last: int) -> Arguments:
    return _mapped(whole, names, lambda array: np.asarray(_on_host(array)[first:last]))


def _on_host(array: Any) -> Any:
    """Slices of device arrays would compile one function per length."""
    return np.asarray(array) if isinstance(array, jax.Array) else array


def _not_finite(taken: Arguments, names: tuple[str, ...]) -> Bool[np.ndarray, " rows"]:
    arrays = [value for name, value in taken.named_arrays().items() if name in names]
    bad = np.zeros(len(arrays[0]), bool)
    for array in arrays:
        if array.dtype.kind == "f":
            bad |= ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return bad


def _filled(
    taken: Arguments,
    names: tuple[str, ...],
    bad: Bool[np.ndarray, " rows"],
    fill: Mapping[str, Any],
) -> Arguments:
    leaves: list[Any] = []
    for name, leaf in zip(taken.names, taken.leaves, strict=True):
        if name in names and isinstance(leaf, np.ndarray):
            leaf = leaf.copy()
            leaf[bad] = _stand_in(leaf, bad, fill.get(name))
        leaves.append(leaf)
    return dataclasses.replace(taken, leaves=tuple(leaves))


def _stand_in(leaf: np.ndarray, bad: Bool[np.ndarray, " rows"], fill: Any) -> Any:
    """A row that is finite, so that what the model makes of it is as well."""
    if not bad.all():
        return leaf[int(np.argmin(bad))]
    return np.zeros(leaf.shape[1:], leaf.dtype) if fill is None else np.asarray(fill)[0]


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    """Copies of the last row at the end; rows do not touch, so they change nothing."""
    short = length - len(array)
    return array if not short else np.concatenate([array, np.repeat(array[-1:], short, axis=0)])


def _refusal(rows: np.ndarray) -> str:
    listed = f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows[:_SHOWN]))}"
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return (
        f"the new data are NaN or infinite in {listed}{more}; expected finite numbers: drop "
        f"those rows, or pass missing=amortis.Missing.NAN to have NaN for them"
    )
