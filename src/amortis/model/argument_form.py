"""What a model's data looked like when it was bound, so that new data can be held against it."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from amortis._errors import DataError
from amortis.model.arguments import Arguments, is_array


@dataclasses.dataclass(frozen=True)
class ArgumentLeaf:
    """One argument: its dtype if it is an array, axes, what follows the axis of rows.

    Of a single real number the value is kept: a function that was fitted with one standard
    deviation is wrong for another, and cannot know of it. Of plain Python values, such as a number
    of topics, it is kept as it came, for who leaves it out later.
    """

    name: str
    dtype: str | None
    axes: int
    row: tuple[int, ...] | None
    value: float | None = None
    plain: bool | int | float | str | None = None

    @property
    def shape(self) -> str:
        """The shape in words."""
        if self.row is not None:
            return f"(rows{''.join(f', {n}' for n in self.row)}{',' if not self.row else ''})"
        return f"of {self.axes} axes" if self.axes else "of a single number"


@dataclasses.dataclass(frozen=True)
class ArgumentForm:
    """Names, dtypes and shapes of a call's arguments, but for the number of rows.

    Attributes:
        leaves: one entry per argument, or per leaf of a nested one.
    """

    leaves: tuple[ArgumentLeaf, ...]

    @classmethod
    def of(cls, arguments: Arguments, rows: int | None) -> "ArgumentForm":
        """The form of the arguments that a model was bound to.

        Args:
            arguments: checked arguments.
            rows: number of rows, where they lie on the arrays' first axis; else None.
        """
        pairs = zip(arguments.names, arguments.leaves, strict=True)
        return cls(tuple(_leaf(name, leaf, rows) for name, leaf in pairs))

    @property
    def row_names(self) -> tuple[str, ...]:
        """Arguments with one entry per row on their first axis."""
        return tuple(leaf.name for leaf in self.leaves if leaf.row is not None)

    @property
    def plain(self) -> dict[str, bool | int | float | str]:
        """Plain Python values by name, but for None."""
        return {leaf.name: leaf.plain for leaf in self.leaves if leaf.plain is not None}

    def alike(self, arguments: Arguments) -> Arguments:
        """New arguments in the dtypes of the old ones.

        Args:
            arguments: new arguments, checked.

        Returns:
            The same, cast where no value changes but by rounding of floats.

        Raises:
            DataError: as `require`, or values that the dtype of the fitted ones cannot hold.
        """
        self.require(arguments)
        known = {leaf.name: leaf for leaf in self.leaves}
        pairs = zip(arguments.names, arguments.leaves, strict=True)
        leaves = tuple(_in_dtype(known[n], v) if n in known else v for n, v in pairs)
        return dataclasses.replace(arguments, leaves=leaves)

    def require(self, arguments: Arguments) -> None:
        """Refuse arguments of other names or shapes; values are not looked at.

        Args:
            arguments: new arguments, which may lie on disk.

        Raises:
            DataError: an array is missing or new, or has other axes or columns; or a plain value is
                missing that was given by name when the model was fitted and is not the model's
                default.
        """
        known = {leaf.name: leaf for leaf in self.leaves}
        came = dict(zip(arguments.names, arguments.leaves, strict=True))
        for leaf in self.leaves:
            if leaf.dtype is not None and came.get(leaf.name) is None:
                raise DataError(
                    f"the new data have no {leaf.name!r}, an array {leaf.shape} when the model was "
                    f"fitted; expected {', '.join(known)}: pass it as well"
                )
        for name, value in self.plain.items():
            if name not in came and _differs_left_out(arguments.function, name, value):
                raise DataError(
                    f"the new data have no {name!r}, which was {value!r} when the model was "
                    f"fitted; expected it again: pass {name}={value!r} as well"
                )
        for name, value in came.items():
            if is_array(value) and np.ndim(value) > 0 and name not in known:
                raise DataError(
                    f"the new data have {name!r}, an array that there was not when the model was "
                    f"fitted; expected {', '.join(known)}: leave it out, or fit again with it"
                )
        for name, value in came.items():
            if name in known:
                _require_shape(known[name], value)


def _leaf(name: str, leaf: Any, rows: int | None) -> ArgumentLeaf:
    if not is_array(leaf):
        plain = leaf if isinstance(leaf, bool | int | float | str) else None
        return ArgumentLeaf(name, None, 0, None, _real(leaf), plain)
    along = rows is not None and leaf.ndim > 0 and leaf.shape[0] == rows
    row = tuple(leaf.shape[1:]) if along else None
    return ArgumentLeaf(name, str(leaf.dtype), leaf.ndim, row, _real(leaf))


def _differs_left_out(function: Callable[..., Any], name: str, value: Any) -> bool:
    """Whether a function takes another value, or none, for an argument that is left out."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return name.isidentifier()  # written in C, or with a signature of its own making
    if name not in parameters:
        # Of `**options`; parts of nested arguments and of `*rest` cannot be passed by name.
        kinds = [parameter.kind for parameter in parameters.values()]
        return name.isidentifier() and inspect.Parameter.VAR_KEYWORD in kinds
    default = parameters[name].default
    return np.ndim(default) > 0 or not _same(default, value)


def _same(one: Any, other: Any) -> bool:
    """Whether two single values are equal, NaN to NaN too."""
    if isinstance(one, str) != isinstance(other, str):
        return False
    return bool(one == other) or bool(one != one and other != other)


def _real(leaf: Any) -> float | None:
    """The value of a single real number, in 32 bit, so that its type does not matter."""
    if isinstance(leaf, bool | int) or (not is_array(leaf) and not isinstance(leaf, float)):
        return None
    array = np.asarray(leaf)
    with np.errstate(over="ignore"):
        return float(np.float32(array)) if array.ndim == 0 and array.dtype.kind == "f" else None


def _require_shape(leaf: ArgumentLeaf, value: Any) -> None:
    came = _real(value)
    if leaf.value is not None and came is not None and not _same(came, leaf.value):
        raise DataError(
            f"{leaf.name} is {came:.6g}, but was {leaf.value:.6g} when the model was "
            f"fitted, and the function does not read it; expected the same: fit again, with one "
            f"value per row if it is to vary"
        )
    shape = np.shape(value) if is_array(value) else None
    if leaf.dtype is None or leaf.axes == 0:
        if shape:
            raise DataError(
                f"data {leaf.name!r} has shape {shape}, but was a single value when the model was "
                f"fitted; expected that again: fit again with an array to let it vary"
            )
        return
    if shape is None or len(shape) != leaf.axes or (leaf.row is not None and shape[1:] != leaf.row):
        came = f"has shape {shape}" if shape else "is a single value"
        raise DataError(
            f"data {leaf.name!r} {came}; expected shape {leaf.shape}, as when the model was "
            f"fitted: pass data of the same columns, with rows on the first axis (of "
            f"a sparse matrix in a file, 'shape' says how many columns)"
        )


def _in_dtype(leaf: ArgumentLeaf, value: Any) -> Any:
    """The values in the dtype of the fitted ones; only floats may be rounded."""
    if leaf.dtype is None or not is_array(value) or str(value.dtype) == leaf.dtype:
        return value
    if leaf.dtype.startswith("key<"):
        return value
    if jnp.issubdtype(jnp.dtype(leaf.dtype), jnp.floating):
        return value.astype(leaf.dtype)
    with np.errstate(invalid="ignore"):  # NaN among integers is refused by the comparison
        cast = np.asarray(value).astype(leaf.dtype)
    if not np.array_equal(cast.astype(np.float64), np.asarray(value, np.float64)):
        raise DataError(
            f"data {leaf.name!r} has dtype {value.dtype} and values that {leaf.dtype} cannot hold; "
            f"expected {leaf.dtype}, as when the model was fitted: convert or recode it"
        )
    return jnp.asarray(cast)
