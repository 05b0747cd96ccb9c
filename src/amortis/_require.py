"""Checks of arguments, each with one clear line."""

from typing import Any

from amortis._errors import ArgumentError


def require_count(owner: str, name: str, value: Any, remedy: str = "raise it") -> None:
    """Refuse anything but an integer of at least one.

    Raises:
        ArgumentError: the value is not an integer, or below one.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentError(
            f"{owner} {name} is {value!r}; expected a whole number of at least 1: {remedy}"
        )
    if value < 1:
        raise ArgumentError(f"{owner} {name} is {value}; expected at least 1: {remedy}")


def require_positive(owner: str, name: str, value: Any) -> None:
    """Refuse anything but a positive number.

    Raises:
        ArgumentError: the value is not a number, or not positive.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ArgumentError(f"{owner} {name} is {value!r}; expected a positive number")


def require_callable(name: str, value: Any) -> None:
    """Refuse what cannot be called.

    Raises:
        ArgumentError: the value is not callable.
    """
    if not callable(value):
        raise ArgumentError(f"{name} is {value!r}; expected a function: pass the function itself")


def require_kind(name: str, value: Any, kind: type, example: str) -> None:
    """Refuse anything but an object of a kind; a class in place of an object is a common slip.

    Raises:
        ArgumentError: the value is of another kind.
    """
    if not isinstance(value, kind):
        came = f"the class {value.__name__}" if isinstance(value, type) else repr(value)[:60]
        raise ArgumentError(f"{name} is {came}; expected an object such as {example}: pass that")
