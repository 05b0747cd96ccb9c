"""Which array is which argument of a model function: by name, and never by position."""

import inspect
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from amortis._errors import DataError, MissingColumnError
from amortis.data.columns import Arrays, in_range
from amortis.data.files import FilePath

UNNAMED = ""
"""The name of the one array of a file that gives it none."""

_MOST_SHOWN = 20

_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def argument_names(function: Callable[..., Any]) -> dict[str, bool]:
    """List the arguments that a function takes by name.

    Args:
        function: The model function; what it gathers in `*args` and `**kwargs` has no names.

    Returns:
        For each argument, in order, whether it is required: it has no default.

    Raises:
        DataError: An argument can only be given by position.
    """
    arguments: dict[str, bool] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise DataError(
                f"argument '{parameter.name}' of {_called(function)} can only be given by "
                "position, expected arguments with names; remove the '/' after it"
            )
        if parameter.kind in _NAMED:
            arguments[parameter.name] = parameter.default is inspect.Parameter.empty
    return arguments


def match_names(
    function: Callable[..., Any], names: Collection[str], source: FilePath
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Say which array each argument of a function gets.

    An argument gets the array of its own name. One array without a name (`UNNAMED`) goes to the
    single argument that has no default, or to the single argument that there is.

    Args:
        function: The model function.
        names: Names of the arrays there are.
        source: The file they come from, for messages.

    Returns:
        For each argument that gets an array the name of it; and the names that no argument uses,
        in their order.

    Raises:
        MissingColumnError: An argument without default has no array.
        DataError: It is not clear which argument an array without a name is for.
    """
    arguments = argument_names(function)
    required = [name for name, needed in arguments.items() if needed]
    if list(names) == [UNNAMED]:
        takers = required or list(arguments)
        if len(takers) != 1:
            raise DataError(
                f"'{source}' holds one array without a name, and {_called(function)} takes "
                f"{_listed(takers)}, expected a single argument without default; give data with "
                "names, for example as NPZ, or defaults to the other arguments"
            )
        return {takers[0]: UNNAMED}, ()
    for argument in required:
        if argument not in names:
            raise MissingColumnError(
                f"'{source}' has no column '{argument}' for that argument of {_called(function)}, "
                f"it has {_listed(names)}; {_remedy(argument, names)}"
            )
    pairs = {argument: argument for argument in arguments if argument in names}
    return pairs, tuple(name for name in names if name not in pairs)


def match_arguments(
    function: Callable[..., Any],
    arrays: Mapping[str, npt.NDArray[np.generic]],
    source: FilePath,
) -> tuple[Arrays, tuple[str, ...]]:
    """Give each argument of a function its array, by name as `match_names` says.

    Args:
        function: The model function.
        arrays: Arrays by name.
        source: The file they come from, for messages.

    Returns:
        Arrays by argument name, to be given as keyword arguments; and the names of arrays that no
        argument uses.

    Raises:
        MissingColumnError: An argument without default has no array.
        DataError: An array does not hold numbers, or holds numbers too large for JAX as it is set;
            or it is not clear which argument an array without a name is for.
    """
    pairs, unused = match_names(function, list(arrays), source)
    matched = {argument: arrays[name] for argument, name in pairs.items()}
    for argument, values in matched.items():
        _check_numbers(argument, values, source)
    return matched, unused


def _check_numbers(argument: str, values: npt.NDArray[np.generic], source: FilePath) -> None:
    if values.dtype.kind not in "biuf":
        raise DataError(
            f"'{source}', argument '{argument}': got an array of type {values.dtype}, expected "
            "numbers or booleans; encode it as numbers"
        )
    # JAX would cut 64-bit integers down to 32 bits without a word, and turn reals into infinity.
    held = jax.dtypes.canonicalize_dtype(values.dtype)
    if not in_range(values, held):
        raise DataError(
            f"'{source}', argument '{argument}': got {values.dtype} values beyond the range of "
            f"{held}, in which JAX holds them; shift or rescale them, or set JAX_ENABLE_X64=1"
        )


def _remedy(argument: str, names: Collection[str]) -> str:
    # Compared without regard to case, or X would not be near x.
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(argument.casefold(), folded, n=1)
    if near:
        return f"did you mean '{folded[near[0]]}'?"
    return "rename a column, or give the argument a default"


def _listed(names: Collection[str]) -> str:
    if not names:
        return "none"
    shown = ", ".join(f"'{name}'" for name in list(names)[:_MOST_SHOWN])
    more = len(names) - _MOST_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _called(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__name__', type(function).__name__)}()"
