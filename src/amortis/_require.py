"""Checks of arguments, each with one clear line."""

import numbers
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amortis._errors import ArgumentError


def require_count(owner: str, name: str, value: Any, remedy: str = "raise it") -> None:
    """Refuse anything but an integer of at least one.

    Raises:
        ArgumentError: the value is not an integer, or below one.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ArgumentError(
            f"{owner} {name} is {shown(value)}; expected a whole number of at least 1: pass an int"
        )
    if value < 1:
        raise ArgumentError(f"{owner} {name} is {value}; expected at least 1: {remedy}")


def require_positive(owner: str, name: str, value: Any) -> None:
    """Refuse anything but a positive number.

    Raises:
        ArgumentError: the value is not a number, or not positive.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Real | np.number)
        or not float(value) > 0
    ):
        raise ArgumentError(
            f"{owner} {name} is {shown(value)}; expected a positive number: pass one above zero"
        )


def require_callable(name: str, value: Any) -> None:
    """Refuse what cannot be called.

    Raises:
        ArgumentError: the value is not callable.
    """
    if not callable(value):
        raise ArgumentError(
            f"{name} is {shown(value)}; expected a function: pass the function itself"
        )


def require_key(value: Any) -> None:
    """Refuse anything but one random key.

    Raises:
        ArgumentError: the value is not a key, or several.
    """
    is_key = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    legacy = isinstance(value, jax.Array) and value.dtype == "uint32" and value.shape == (2,)
    if not legacy and not (is_key and value.ndim == 0):
        came = f"an array of {value.shape} keys" if is_key else shown(value)
        raise ArgumentError(f"key is {came}; expected one random key: pass jax.random.key(0)")


def shown(value: Any) -> str:
    """A value as a message shows it: short, on one line."""
    return " ".join(repr(value).split())[:60]


def require_kind(name: str, value: Any, kind: type | types.UnionType, example: str) -> None:
    """Refuse anything but an object of a kind; a class in place of an object is a common slip.

    Raises:
        ArgumentError: the value is of another kind.
    """
    if not isinstance(value, kind):
        came = f"the class {value.__name__}" if isinstance(value, type) else shown(value)
        raise ArgumentError(f"{name} is {came}; expected an object such as {example}: pass that")
