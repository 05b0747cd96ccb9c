"""HTML and SVG in which text is escaped by construction: only `Markup` enters as it is."""

import dataclasses
import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any, TypeAlias

from amortis.report.verdict_words import printable

_ALONE = frozenset({"meta", "link", "br", "circle", "path", "line", "rect"})
"""Elements that hold nothing."""

_NAME_LENGTH = 48


@dataclasses.dataclass(frozen=True)
class Markup:
    """Text that is markup already.

    Attributes:
        text: the markup.
    """

    text: str


Child: TypeAlias = "Markup | str"
"""What an element holds; a string is text and is escaped."""


def element(tag: str, *children: Child, **attributes: str | float | None) -> Markup:
    """Write an element.

    Args:
        tag: its name.
        *children: what it holds.
        **attributes: an underscore at the end is dropped, others become hyphens; None is left out.

    Returns:
        The element.

    Example:
        >>> element("p", "a < b", class_="note").text
        '<p class="note">a &lt; b</p>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _ALONE:
        return Markup(f"<{tag}{written}/>")
    return Markup(f"<{tag}{written}>{joined(children).text}</{tag}>")


def joined(children: Iterable[Child]) -> Markup:
    """Put parts one after the other, text escaped."""
    return Markup("".join(c.text if isinstance(c, Markup) else escape(c) for c in children))


def as_it_is(text: str) -> Markup:
    """Declare text of our own to be markup, such as a drawing that is SVG already."""
    return Markup(text)


def json_data(identifier: str, value: Any) -> Markup:
    """Data for the page's script, in an element that no browser runs.

    Args:
        identifier: the element's id.
        value: what `json.dumps` takes.

    Returns:
        The element; `<`, `>` and `&` are written as escapes of JSON, so that no string in it can
        end the element.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    safe = re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)
    return Markup(f'<script type="application/json" id="{escape(identifier)}">{safe}</script>')


def shown_name(name: str) -> str:
    """A user's name as a report shows it: on one line, without invisible marks, and not long."""
    clean = printable(name)
    return clean if len(clean) <= _NAME_LENGTH else f"{clean[: _NAME_LENGTH - 1]}…"


def named(name: str) -> Markup:
    """A user's name in running text, kept apart from the direction in which the text is read."""
    return element("bdi", shown_name(name))


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
