"""The sections of a report page, each from the record that it is about."""

import dataclasses
import itertools

import numpy as np

from amortis.diagnostics import Diagnosis, Finding
from amortis.fitting import Fit
from amortis.report.calibration_series import CalibrationLike, calibration_panel
from amortis.report.function_series import FunctionValues, function_panels
from amortis.report.markup import Child, Markup, as_it_is, element, joined, named
from amortis.report.numbers import Moments, flat_entries, global_moments
from amortis.report.page_parts import (
    figures,
    paragraph,
    scrolling,
    section,
    table,
    with_calls,
)
from amortis.report.ticks import number
from amortis.report.verdict_svg import verdict_graph
from amortis.structure import Verdict

_MOST_GLOBALS = 40
_MOST_SITES = 8
_GOOD = frozenset({"EXACT", "FINE"})


def answer(fitted: Fit, diagnosis: Diagnosis | None) -> Markup:
    """What was found, in words, and the next step as a call."""
    steps: list[str] = []
    tone, word, found = "good", "It worked", ""
    if diagnosis is None:
        tone, word, found = "plain", "Not yet diagnosed", fitted.status.value
        steps = ["amortis.diagnose(fit, key=key) measures what amortization cost, row by row"]
    else:
        found = f"{diagnosis.finding.value[:1].upper()}{diagnosis.finding.value[1:]}."
        steps = list(diagnosis.next_steps)
        if diagnosis.finding is Finding.UNCERTAIN:
            tone, word = "plain", "Not decided"
        elif diagnosis.finding.name not in _GOOD:
            tone, word = "caution", "Can be improved"
    extra: list[Child] = []
    if not fitted.status.settled:
        tone, word = "poor", "The fit did not settle"
        extra = [paragraph(f"The optimizer ended early: {fitted.status.value}")]
        steps.insert(0, "amortis.fit(model, key=key, optimiser=...) with more iterations or draws")
    if steps:
        extra.append(paragraph("Next step" if len(steps) == 1 else "Next steps", class_="soft"))
        extra.append(element("ul", *(element("li", with_calls(step)) for step in steps)))
    return element(
        "div",
        paragraph(word, class_="word"),
        paragraph(found, class_="found"),
        *extra,
        class_=f"answer {tone}",
    )


def function_section(values: FunctionValues | None, note: str) -> Markup | None:
    """The function's factors beside the rows' own optima."""
    if values is None:
        return None
    unsettled = int(np.sum(~values.settled))
    late = f" The own optimum of {unsettled:,} of these rows was not found." if unsettled else ""
    return section(
        "function",
        "The function against each row's own optimum",
        paragraph(
            "Each row's factor of the posterior is a Gaussian. Its mean and its standard "
            "deviation come from the inference function; its own optimum is the Gaussian that "
            "maximizes the row's part of the ELBO while the globals' factor is held. Where both "
            "agree, amortization costs nothing. Latents with a bounded support are shown on the "
            f"unconstrained scale.{late} {note}"
        ),
        figures(function_panels(values, note), "function", said=note),
    )


def globals_section(fitted: Fit, moments: Moments) -> Markup | None:
    """Means and standard deviations of the globals."""
    point = not fitted.guide.global_family.is_density
    known = global_moments(fitted, moments)
    every = itertools.chain.from_iterable(flat_entries(site, *known[site]) for site in known)
    entries = list(itertools.islice(every, _MOST_GLOBALS))
    if not entries:
        return None
    rows: list[list[Child]] = [
        [named(label), number(mean, 5), *([] if point else [number(sd, 3)])]
        for label, mean, sd in entries
    ]
    count = sum(np.size(mean) for mean, _ in known.values())
    more = f" The first {len(rows)} of {count:,} are shown." if len(rows) < count else ""
    kind = "Point estimates" if point else "Means and standard deviations under q"
    return section(
        "globals",
        "Globals",
        table(
            f"{kind}, in the model's own units.{more}",
            ["global", "point estimate"] if point else ["global", "mean", "sd"],
            rows,
            (1, 2),
        ),
    )


def verdict_section(verdict: Verdict | None) -> Markup | None:
    """Whether a function can be ideal for this model, as a graph and in words."""
    if verdict is None:
        return None
    graph = element("div", as_it_is(verdict_graph(verdict)), class_="paper")
    return section(
        "when",
        "When one function can be ideal",
        paragraph(f"{verdict.kind.value[:1].upper()}{verdict.kind.value[1:]}."),
        scrolling(graph, "The model's graph around one unit"),
    )


def calibration_section(calibration: CalibrationLike | None) -> Markup | None:
    """Whether posteriors of simulated data are calibrated."""
    if calibration is None:
        return None
    sites = list(calibration.sites.items())
    panels = [calibration_panel(name, site) for name, site in sites[:_MOST_SITES]]
    rows: list[list[Child]] = [
        [
            named(name),
            "yes" if site.inside else "no",
            joined(
                f"{'; ' if i else ''}{100 * nominal:.0f} %: {100 * measured:.1f} %"
                for i, (nominal, measured) in enumerate(site.coverage)
            ),
        ]
        for name, site in sites[:_MOST_GLOBALS]
    ]
    more = f" Pictures of the first {_MOST_SITES}." if len(sites) > _MOST_SITES else ""
    return section(
        "calibration",
        "Calibration",
        paragraph(
            f"{calibration.simulations:,} true values were simulated from the model and ranked "
            f"among {calibration.draws:,} draws of q each. If q is calibrated their ranks are "
            f"uniform, and the line stays inside of the band.{more}"
        ),
        figures(panels, "calibration"),
        table(
            "Central intervals: nominal share, and the share that held the true value.",
            ["site", "inside of the band", "nominal: measured coverage"],
            rows,
        ),
    )


@dataclasses.dataclass(frozen=True)
class Contents:
    """The sections of a page in order, of which some may be missing."""

    sections: tuple[tuple[str, str, Markup | None], ...]

    def navigation(self) -> Markup:
        """Links to the sections that are there."""
        links = [
            element("li", element("a", title, href=f"#{identifier}"))
            for identifier, title, made in self.sections
            if made is not None
        ]
        return element("nav", element("ul", *links), aria_label="Sections")

    def body(self) -> Markup:
        """The sections that are there."""
        return joined(made for _, _, made in self.sections if made is not None)
