"""Plain values out of a manifest, each of the one kind that belongs there."""

from typing import Any, TypeVar, cast

from amortis.export.malformed import Malformed

T = TypeVar("T")

LARGEST = 2**40
"""No size in an archive is larger; what is would only be there to exhaust the memory."""


def of_kind(name: str, value: object, kind: type[T]) -> T:
    """The value, if it is exactly of this kind: true is not a number here.

    Args:
        name: what it is, for the message.
        value: as JSON gave it.
        kind: `dict`, `list`, `str`, `int` or `bool`.

    Raises:
        Malformed: it is of another kind.
    """
    if type(value) is not kind:
        raise Malformed(f"has a manifest whose {name!r} is no {kind.__name__}")
    return cast(T, value)


def entry(table: object, name: str, kind: type[T]) -> T:
    """An entry of a JSON object, if it is there and of this kind.

    Raises:
        Malformed: there is no such entry, or it is of another kind.
    """
    known: dict[str, Any] = of_kind("table", table, dict)
    return of_kind(name, known.get(name), kind)


def size(name: str, value: object) -> int:
    """A number of things.

    Raises:
        Malformed: it is no whole number, negative, or absurd.
    """
    number = of_kind(name, value, int)
    if not 0 <= number <= LARGEST:
        raise Malformed(f"has a manifest whose {name!r} is out of range")
    return number


def sizes(name: str, value: object) -> tuple[int, ...]:
    """A shape.

    Raises:
        Malformed: it is no list of sizes, or a list of very many.
    """
    each: list[Any] = of_kind(name, value, list)
    if len(each) > 32:
        raise Malformed(f"has a manifest whose {name!r} has {len(each)} axes")
    return tuple(size(name, one) for one in each)


def texts(name: str, value: object) -> tuple[str, ...]:
    """A list of names.

    Raises:
        Malformed: it is no list, or not one of names.
    """
    each: list[Any] = of_kind(name, value, list)
    return tuple(of_kind(name, one, str) for one in each)


def ranges(value: object) -> tuple[tuple[int, int], ...]:
    """Ranges of coordinates in increasing order, each of a start and an end.

    Raises:
        Malformed: they are something else.
    """
    runs = [sizes("points", run) for run in of_kind("points", value, list)]
    ends = [end for run in runs for end in run]
    if any(len(run) != 2 for run in runs) or ends != sorted(set(ends)):
        raise Malformed("has a manifest whose 'points' are no ranges")
    return tuple((run[0], run[1]) for run in runs)


def offsets(value: object) -> tuple[int, ...]:
    """Positions relative to a unit's own, of either sign.

    Raises:
        Malformed: they are something else.
    """
    each: list[Any] = of_kind("offsets", value, list)
    signs = [-1 if of_kind("offsets", one, int) < 0 else 1 for one in each]
    return tuple(s * size("offsets", abs(one)) for s, one in zip(signs, each, strict=True))
