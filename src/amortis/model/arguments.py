"""A model's arguments, split into row-aligned data, other arrays, and plain Python values."""

import dataclasses
import enum
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amortis._errors import DataError, NonFiniteDataError


class _Role(enum.Enum):
    ROW = "row"
    ARRAY = "array"
    PLAIN = "plain"


@dataclasses.dataclass(frozen=True)
class CallTemplate:
    """How to call the model again on other rows: everything about a call but its arrays.

    Attributes:
        function: the user's model.
        structure: the pytree structure of (args, kwargs).
        roles: for each leaf, whether it is row-aligned, another array, or a plain value.
        plain: the plain values, in order.
        names: for each leaf, how the user would name it, such as `x` or `data['y']`.
    """

    function: Callable[..., Any]
    structure: Any
    roles: tuple[_Role, ...]
    plain: tuple[Any, ...]
    names: tuple[str, ...]

    def call(self, row_arrays: Sequence[Any], other_arrays: Sequence[Any]) -> Any:
        """Run the model with these arrays in their places."""
        leaves = self.leaves(row_arrays, other_arrays)
        args, kwargs = jax.tree.unflatten(self.structure, leaves)
        return self.function(*args, **kwargs)

    def leaves(self, row_arrays: Sequence[Any], other_arrays: Sequence[Any]) -> tuple[Any, ...]:
        """All leaves of a call with these arrays in their places."""
        queues = {
            _Role.ROW: iter(row_arrays),
            _Role.ARRAY: iter(other_arrays),
            _Role.PLAIN: iter(self.plain),
        }
        return tuple(next(queues[role]) for role in self.roles)

    def row_names(self) -> tuple[str, ...]:
        """Names of the row-aligned arrays, in order."""
        return tuple(n for n, r in zip(self.names, self.roles, strict=True) if r is _Role.ROW)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Arguments of one call: leaves with names, before any is known to carry rows."""

    function: Callable[..., Any]
    structure: Any
    leaves: tuple[Any, ...]
    names: tuple[str, ...]

    def lengths(self) -> dict[str, int]:
        """Leading length of each array that has one, by name."""
        return {
            name: leaf.shape[0]
            for name, leaf in zip(self.names, self.leaves, strict=True)
            if is_array(leaf) and leaf.ndim > 0
        }

    def checked(self) -> "Arguments":
        """The same on the device, with what cannot be data refused; see `read_arguments`."""
        pairs = zip(self.names, self.leaves, strict=True)
        return dataclasses.replace(self, leaves=tuple(_checked(n, leaf) for n, leaf in pairs))

    def call_parts(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments again."""
        return jax.tree.unflatten(self.structure, self.leaves)

    def named_arrays(self) -> dict[str, Any]:
        """All arrays by name, in the order of the leaves."""
        pairs = zip(self.names, self.leaves, strict=True)
        return {name: leaf for name, leaf in pairs if is_array(leaf)}

    def split(self, size: int | None) -> tuple[CallTemplate, tuple[Any, ...], tuple[Any, ...]]:
        """Separate arrays of leading length `size` from the rest; none of them if it is None."""
        roles = tuple(_role(leaf, size) for leaf in self.leaves)
        pick = lambda role: tuple(  # noqa: E731
            leaf for leaf, r in zip(self.leaves, roles, strict=True) if r is role
        )
        template = CallTemplate(self.function, self.structure, roles, pick(_Role.PLAIN), self.names)
        return template, pick(_Role.ROW), pick(_Role.ARRAY)


def read_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Arguments:
    """Turn what the user passed into named arrays and plain values, refusing what cannot be data.

    Args:
        function: the user's model, for the names of positional arguments.
        args: positional arguments: arrays, pytrees of arrays, pandas columns, or plain values.
        kwargs: keyword arguments, of the same kinds.

    Returns:
        The arguments with one name per leaf.

    Raises:
        DataError: an empty array, or one of Python objects or text.
        NonFiniteDataError: NaN or infinity, with the array and its first bad row.
    """
    return flatten_arguments(function, args, kwargs).checked()


def name_arrays(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The arrays of a call under the names that `read_arguments` gives them, with no value read.

    Args:
        function: the user's model.
        args: positional arguments; their arrays may be traced.
        kwargs: keyword arguments.

    Returns:
        By name, in the order of the leaves.
    """
    return flatten_arguments(function, args, kwargs).named_arrays()


def flatten_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Arguments:
    """The same with nothing copied or looked at, so that arrays may lie on disk; see above."""
    args = tuple(_as_arrays(value) for value in args)
    kwargs = {name: _as_arrays(value) for name, value in kwargs.items()}
    paths, structure = jax.tree_util.tree_flatten_with_path(
        (args, kwargs), is_leaf=lambda leaf: leaf is None
    )
    positional = _positional_names(function, len(args))
    names = tuple(_name(path, positional) for path, _ in paths)
    return Arguments(function, structure, tuple(leaf for _, leaf in paths), names)


def _positional_names(function: Callable[..., Any], count: int) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # written in C, or with a signature of its own making
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = [p.name for p in parameters if p.kind in named]
    return tuple(known[i] if i < len(known) else f"argument {i}" for i in range(count))


def _name(path: Any, positional: tuple[str, ...]) -> str:
    first = path[1]
    stem = positional[first.idx] if hasattr(first, "idx") else str(first.key)
    return stem + jax.tree_util.keystr(path[2:])


def _as_arrays(value: Any) -> Any:
    """Read pandas columns and (nested) lists of numbers as arrays; leave other values alone."""
    if hasattr(value, "to_numpy"):
        return value.to_numpy()
    if isinstance(value, np.ma.MaskedArray):
        return value.filled(np.nan) if value.dtype.kind == "f" else value.filled()
    if isinstance(value, list | tuple) and _is_table_of_numbers(value):
        return np.asarray(value)
    return value


def _is_table_of_numbers(value: Any) -> bool:
    """Whether nested lists or tuples hold numbers only, and so mean an array."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(_is_table_of_numbers(v) for v in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_array(leaf: Any) -> bool:
    """Whether an argument is an array, of NumPy or of JAX."""
    return isinstance(leaf, np.ndarray | np.generic | jax.Array)


def _role(leaf: Any, size: int | None) -> _Role:
    if not is_array(leaf):
        return _Role.PLAIN
    if size is not None and leaf.ndim > 0 and leaf.shape[0] == size:
        return _Role.ROW
    return _Role.ARRAY


def _checked(name: str, leaf: Any) -> Any:
    if not is_array(leaf):
        return leaf
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf
    if leaf.dtype.kind not in "fiub" and leaf.dtype != jnp.bfloat16:
        raise DataError(
            f"data {name!r} has dtype {leaf.dtype}; expected numbers or booleans: convert it with "
            f"`.astype(float)` or code its categories as integers"
        )
    if leaf.size == 0:
        raise DataError(f"data {name!r} is empty, shape {leaf.shape}; expected at least one row")
    if leaf.dtype.kind == "f":
        _refuse_non_finite(name, np.asarray(leaf))
    _refuse_out_of_range(name, leaf)
    return jnp.asarray(leaf)


def _refuse_out_of_range(name: str, leaf: Any) -> None:
    """JAX in 32 bit would wrap large integers and turn large floats into infinity, silently."""
    target = jax.dtypes.canonicalize_dtype(leaf.dtype)
    if leaf.dtype.itemsize <= target.itemsize:
        return
    limits = np.iinfo(target) if target.kind in "iu" else np.finfo(target)
    low, high = float(np.min(leaf)), float(np.max(leaf))
    if low < float(limits.min) or high > float(limits.max):
        raise DataError(
            f"data {name!r} has values from {low:.6g} to {high:.6g}, beyond {target}; expected "
            f"values that 32 bit can hold: rescale or recode them, or enable JAX's 64 bit"
        )


def _refuse_non_finite(name: str, array: np.ndarray) -> None:
    finite = np.isfinite(array)
    if finite.all():
        return
    first = tuple(int(i) for i in np.argwhere(~finite)[0])
    where = f"row {first[0]}" if first else "its only value"
    bad = int(finite.size - finite.sum())
    raise NonFiniteDataError(
        f"data {name!r} has {array[first]} first in {where} ({bad} such values); expected finite "
        f"numbers: drop those rows, or impute them and mask their likelihood in the model"
    )
