"""The form of a model's arguments as plain values, and back."""

import math
from typing import Any

from amortis.export.malformed import Malformed
from amortis.export.plain_values import of_kind, size, sizes
from amortis.model import ArgumentForm, ArgumentLeaf


def form_to_plain(form: ArgumentForm) -> list[Any]:
    """Names, dtypes, axes, shapes of rows, and values that are kept."""
    return [
        [leaf.name, leaf.dtype, leaf.axes, _row(leaf), _number(leaf.value), _number(leaf.plain)]
        for leaf in form.leaves
    ]


def _number(value: Any) -> Any:
    """The value; in a list, by its name, if it is a number that JSON does not know."""
    odd = isinstance(value, float) and not math.isfinite(value)
    return [str(value)] if odd else value


def _of_number(stored: Any) -> Any:
    return float(stored[0]) if stored in (["inf"], ["-inf"], ["nan"]) else stored


def _row(leaf: ArgumentLeaf) -> list[int] | None:
    return None if leaf.row is None else list(leaf.row)


def form_from_plain(plain: object) -> ArgumentForm:
    """The form again.

    Raises:
        Malformed: the values describe none.
    """
    leaves: list[Any] = of_kind("form", plain, list)
    return ArgumentForm(tuple(_leaf(one) for one in leaves))


def _leaf(plain: object) -> ArgumentLeaf:
    values: list[Any] = of_kind("form", plain, list)
    if len(values) not in (5, 6):
        raise Malformed("has a manifest whose 'form' is none")
    name, dtype, axes, row, *kept = [*values, None][:6]  # older archives have five
    value, given = (_of_number(one) for one in kept)
    if given is not None and not isinstance(given, bool | int | float | str):
        raise Malformed("has a manifest whose 'form' is none")
    return ArgumentLeaf(
        of_kind("form", name, str),
        None if dtype is None else of_kind("form", dtype, str),
        size("form", axes),
        None if row is None else sizes("form", row),
        None if value is None else of_kind("form", value, float),
        given,
    )
