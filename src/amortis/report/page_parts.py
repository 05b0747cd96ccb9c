"""Parts that pages are made of: sections, tables, figures, and estimates with their units."""

import dataclasses
import re
from collections.abc import Sequence

from amortis.fitting import Estimate
from amortis.report.markup import Child, Markup, element, joined
from amortis.report.panel import Panel
from amortis.report.panel_svg import legend, panel_svg
from amortis.report.ticks import number, with_error

_CALL = re.compile(r"amortis\.\w+\((?:[^()]|\([^()]*\))*\)")


def section(identifier: str, title: str, *parts: Child) -> Markup:
    """A section with a heading that links can reach.

    Args:
        identifier: the section's id.
        title: its heading.
        *parts: what it holds.
    """
    heading = element("h2", title, id=f"{identifier}-title")
    return element("section", heading, *parts, id=identifier, aria_labelledby=f"{identifier}-title")


def paragraph(*parts: Child, class_: str | None = None) -> Markup:
    """A paragraph."""
    return element("p", *parts, class_=class_)


def table(
    caption: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[Child]],
    numeric: Sequence[int] = (),
    kind: str | None = None,
) -> Markup:
    """A table that scrolls on its own where it is too wide.

    Args:
        caption: what it holds.
        headings: one per column.
        rows: cells; the first of each row is its heading.
        numeric: columns that hold numbers.
        kind: a class of the page's style.
    """

    def cell(tag: str, content: Child, column: int, scope: str | None) -> Markup:
        class_ = "number"
        if column not in numeric:
            length = len(content) if isinstance(content, str) else 30
            class_ = "wide" if length > 44 else "short" if length < (22 if column else 17) else None
        return element(tag, content, class_=class_, scope=scope)

    head = element("tr", *(cell("th", h, j, "col") for j, h in enumerate(headings)))
    body = [
        element(
            "tr",
            *(
                cell("td" if j else "th", content, j, None if j else "row")
                for j, content in enumerate(row)
            ),
        )
        for row in rows
    ]
    # The caption is outside: inside it would be as narrow as the table, or scroll away.
    parts = (element("thead", head), element("tbody", *body))
    whole = element("table", *parts, class_=kind, aria_label=caption)
    return element("div", paragraph(caption, class_="note"), scrolling(whole, caption))


def scrolling(content: Markup, name: str) -> Markup:
    """What may be wider than a phone; it can be reached and scrolled by keys."""
    return element("div", content, class_="scroll", tabindex="0", role="region", aria_label=name)


def figures(panels: Sequence[Panel], prefix: str, *beside: Markup, said: str = "") -> Markup:
    """Panels beside one another, under one another on phones.

    Args:
        panels: what to draw.
        prefix: of their ids.
        *beside: what stands beside them, such as a table.
        said: a note that the page has said already.
    """
    drawn = [
        _figure(
            dataclasses.replace(panel, note=panel.note.replace(said, "").strip()), f"{prefix}-{i}"
        )
        for i, panel in enumerate(panels)
    ]
    return element("div", *drawn, *beside, class_="charts") if panels else joined(beside)


def _figure(panel: Panel, identifier: str) -> Markup:
    note = [paragraph(panel.note)] if panel.note else []
    caption = element("figcaption", element("h3", panel.title), *note)
    return element("figure", caption, legend(panel), panel_svg(panel, identifier))


def tile(name: str, value: str, under: str) -> Markup:
    """One number that matters, with its unit or meaning under it."""
    return element("div", element("dt", name), element("dd", value, element("small", under)))


def estimate_row(name: str, estimate: Estimate, meaning: str) -> list[Child]:
    """A row of the table of numbers: name, value, standard error, unit, meaning."""
    mean, se = with_error(estimate.mean, estimate.se)
    return [name, mean, se, estimate.unit, meaning]


def number_row(name: str, value: float | int, unit: str, meaning: str) -> list[Child]:
    """The same for a number without a standard error."""
    return [name, number(float(value)), "", unit, meaning]


def with_calls(text: str) -> Markup:
    """A sentence in which calls of this library are set as code."""
    parts: list[Child] = []
    end = 0
    for found in _CALL.finditer(text):
        parts += [text[end : found.start()], element("code", found[0])]
        end = found.end()
    return joined([*parts, text[end:]])
