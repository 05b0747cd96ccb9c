"""The sections of a report page, each from the record that it is about."""

import dataclasses
import math
from typing import Any

import numpy as np

from amortis.diagnostics import Diagnosis, Finding
from amortis.fitting import Fit
from amortis.report.calibration_series import CalibrationLike, calibration_panel
from amortis.report.diagnosis_series import (
    columns_of_rows,
    gap_panels,
    k_hat_panel,
    rows_are_measured,
)
from amortis.report.function_series import FunctionValues, function_panels
from amortis.report.markup import Child, Markup, as_it_is, element, joined, named, shown_name
from amortis.report.numbers import Moments, flat_entries
from amortis.report.page_parts import (
    figures,
    paragraph,
    scrolling,
    section,
    table,
    with_calls,
)
from amortis.report.row_sample import RowSample
from amortis.report.ticks import number
from amortis.report.verdict_svg import verdict_graph
from amortis.structure import Verdict

_MOST_GLOBALS = 100
_MOST_SITES = 8
_GOOD = frozenset({"EXACT", "FINE"})
_TOUCHING = (
    "The latents of this model touch each other, so that no row can be measured apart from the "
    "others."
)


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


def gap_section(fitted: Fit, diagnosis: Diagnosis, sample: RowSample) -> Markup:
    """The gap of each row, and the worst rows."""
    title = "The gap of each row"
    if not rows_are_measured(diagnosis):
        return section("gap", title, paragraph(_TOUCHING))
    left_out = columns_of_rows(fitted.model, diagnosis).left_out
    more = f" Of more columns, the {left_out} that order the gaps least are left out."
    return section(
        "gap",
        title,
        paragraph(
            "What a row would gain, in nats, if it had a factor of its own. Small gaps are noisy, "
            f"and may be below zero.{more if left_out else ''} "
            f"{sample.note}"
        ),
        figures(
            gap_panels(fitted.model, diagnosis, sample),
            "gap",
            _worst(diagnosis),
            said=sample.note,
        ),
    )


def _worst(diagnosis: Diagnosis) -> Markup:
    if not diagnosis.worst:
        return as_it_is("")
    names = list(diagnosis.worst[0].inputs)[:6]
    rows: list[list[Child]] = [
        [
            f"{row.index:,}",
            number(row.gap, 3),
            number(float(diagnosis.row_gap_ses[row.index]), 2),
            number(row.k, 2),
            *(number(float(row.inputs.get(name, math.nan)), 4) for name in names),
        ]
        for row in diagnosis.worst
    ]
    headings = ["row", "gap (nats)", "s.e. (nats)", "k-hat", *map(shown_name, names)]
    return table(
        "The rows with the largest gaps, counted from 0, and what the function read.",
        headings,
        rows,
        range(1, len(headings)),
    )


def k_hat_section(diagnosis: Diagnosis, sample: RowSample) -> Markup | None:
    """K-hat of each row, and how many rows are on which side."""
    panel = k_hat_panel(diagnosis, sample)
    if panel is None:
        return None
    k = np.asarray(diagnosis.row_k)
    counts = (
        ("up to 0.5", np.sum(k <= 0.5), "the factor fits, and weights correct what is left"),
        ("0.5 to 0.7", np.sum((k > 0.5) & (k <= 0.7)), "good enough to be corrected by weights"),
        ("0.7 to 1", np.sum((k > 0.7) & (k <= 1.0)), "the factor is too narrow there"),
        ("above 1", np.sum(k > 1.0), "the factor misses a part of the posterior"),
    )
    rows: list[list[Child]] = [
        [f"k-hat {name}", f"{int(count):,}", f"{number(100 * float(count) / len(k), 3)} %", meaning]
        for name, count, meaning in counts
    ]
    unknown = int(np.sum(np.isnan(k)))
    if unknown:
        rows.append(["not measured", f"{unknown:,}", f"{number(100 * unknown / len(k), 2)} %", ""])
    return section(
        "k-hat",
        "How well each row's factor fits",
        paragraph(
            "k-hat is the tail index of the importance weights of a row's factor: the smaller, the "
            "closer the factor is to the row's posterior given the globals. It says how good the "
            f"factor is where its own draws look. {sample.note}"
        ),
        figures(
            [panel],
            "k-hat",
            table(
                f"All {diagnosis.size:,} rows by k-hat.",
                ["range", "rows", "share", "meaning"],
                rows,
                (1, 2),
            ),
            said=sample.note,
        ),
    )


def collapse_section(diagnosis: Diagnosis) -> Markup | None:
    """Which dimensions of the latents carry information on the data."""
    collapse: Any = getattr(diagnosis, "collapse", None)
    if collapse is None:
        return None
    kl, active = np.atleast_1d(collapse.kl), np.atleast_1d(collapse.active)
    rows: list[list[Child]] = [
        [named(name), number(float(kl[j]), 3), "yes" if active[j] else "no"]
        for j, name in enumerate(collapse.names)
    ]
    information = number(float(collapse.mutual_information), 3)
    return section(
        "collapse",
        "What the latents carry",
        paragraph(
            f"The latents carry about {information} nats on which row they belong to. A dimension "
            "whose factor is the prior for every row carries none: it has collapsed."
        ),
        table(
            "Divergence of the rows' factors from the prior, by dimension of the latents.",
            ["dimension", "KL divergence (nats per row)", "in use"],
            rows[:_MOST_GLOBALS],
            (1,),
        ),
    )


def globals_section(fitted: Fit, moments: Moments) -> Markup | None:
    """Means and standard deviations of the globals."""
    point = not fitted.guide.global_family.is_density
    entries = [e for site in fitted.model.globals_ for e in flat_entries(site, *moments[site])]
    if not entries:
        return None
    rows: list[list[Child]] = [
        [named(label), number(mean, 5), "–" if point else number(sd, 3)]
        for label, mean, sd in entries[:_MOST_GLOBALS]
    ]
    left_out = len(entries) - len(rows)
    more = f" The first {len(rows)} of {len(entries)} are shown." if left_out else ""
    kind = "Point estimates" if point else "Means and standard deviations under q"
    return section(
        "globals",
        "Globals",
        table(
            f"{kind}, in the model's own units.{more}",
            ["global", "point estimate" if point else "mean", "sd"],
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
