"""The form of a model's arguments as plain values, and back."""

from typing import Any

from amortis.export.malformed import Malformed
from amortis.export.plain_values import of_kind, size, sizes
from amortis.model import ArgumentForm, ArgumentLeaf


def form_to_plain(form: ArgumentForm) -> list[Any]:
    """Names, dtypes, axes, shapes of rows, and values that are kept."""
    return [
        [leaf.name, leaf.dtype, leaf.axes, _row(leaf), leaf.value, leaf.plain]
        for leaf in form.leaves
    ]


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
    name, dtype, axes, row, value, given = [*values, None][:6]  # older archives have five
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
