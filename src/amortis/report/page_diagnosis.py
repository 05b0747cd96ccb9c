"""The sections of a report page about a diagnosis: gaps, k-hats, and what the latents carry."""

import math
from typing import Any

import numpy as np

from amortis.diagnostics import Diagnosis
from amortis.fitting import Fit
from amortis.report.diagnosis_series import (
    columns_of_rows,
    gap_panels,
    k_hat_panel,
    rows_are_measured,
)
from amortis.report.markup import Child, Markup, as_it_is, named, shown_name
from amortis.report.page_parts import figures, paragraph, section, table
from amortis.report.row_sample import RowSample
from amortis.report.step_series import steps_panel
from amortis.report.ticks import number, with_error

_MOST_DIMENSIONS = 100
_TOUCHING = (
    "The latents of this model touch each other, so that no row can be measured apart from the "
    "others."
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


def steps_section(diagnosis: Diagnosis) -> Markup | None:
    """The gap after fewer and after more steps, of functions that take steps."""
    steps, panel = diagnosis.steps, steps_panel(diagnosis)
    if steps is None:
        return None
    rows: list[list[Child]] = [
        [f"{count:,}", *with_error(gap.mean, gap.se), "the fit's" if count == steps.own else ""]
        for count, gap in zip(steps.counts, steps.gaps, strict=True)
    ]
    caption = "Mean gap of all rows after so many steps, to the optima of the fit's own number."
    return section(
        "steps",
        "The gap against the number of steps",
        paragraph(
            "The function comes to a row's factor by steps along the slope of the row's own ELBO. "
            "More steps can be taken than were trained with: see amortis.with_steps. "
            f"{str(steps.cut)[0].upper()}{str(steps.cut)[1:]}."
        ),
        figures(
            [] if panel is None else [panel],
            "steps",
            table(caption, ["steps", "gap (nats per row)", "s.e.", ""], rows, (0, 1, 2)),
        ),
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
            rows[:_MOST_DIMENSIONS],
            (1,),
        ),
    )
