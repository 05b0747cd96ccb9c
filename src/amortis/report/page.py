"""`report`: one HTML file that says whether a fit worked, and shows why."""

import base64
import datetime
import hashlib
from pathlib import Path
from typing import Any

from amortis.data import replacing
from amortis.diagnostics import Diagnosis
from amortis.fitting import Fit
from amortis.report.diagnosis_series import diagnosis_sample
from amortis.report.elbo_series import elbo_panel
from amortis.report.function_series import FunctionValues, function_values
from amortis.report.markup import Markup, as_it_is, element, json_data, shown_name
from amortis.report.page_checks import require_place, require_records
from amortis.report.page_diagnosis import (
    collapse_section,
    gap_section,
    k_hat_section,
    steps_section,
)
from amortis.report.page_numbers import fit_table, numbers_section, settings_section, tiles
from amortis.report.page_parts import figures, paragraph, section
from amortis.report.page_script import SCRIPT
from amortis.report.page_sections import (
    Contents,
    answer,
    calibration_section,
    function_section,
    globals_section,
    verdict_section,
)
from amortis.report.page_style import STYLE
from amortis.report.plots import FilePath
from amortis.report.row_sample import RowSample, sample_rows
from amortis.report.row_words import row_table
from amortis.structure import Verdict


def report(
    fitted: Fit,
    diagnosis: Diagnosis | None = None,
    *,
    path: FilePath,
    verdict: Verdict | None = None,
    calibration: Any = None,
    reference: Fit | None = None,
    title: str | None = None,
) -> Path:
    r"""Write one HTML file about a fit: the answer, the numbers, and the pictures behind them.

    The file needs no network and no other file, is read on phones and printed as it is, follows the
    reader's light or dark setting, and can be used by keyboard. Pictures: the ELBO against time;
    $f(x_n)$ against the row's own optimum $\nu_n$; the gap of each row against what the function
    reads; k-hat of each row; the model's graph; calibration. Of many rows the worst and an even
    selection are shown, so that the file stays below 3 MB for any N.

    Args:
        fitted: the fit.
        diagnosis: of that fit; without it gaps and k-hats are missing.
        path: the file, whose folder must exist; an old one is replaced when the new one is whole.
        verdict: of `check` on the model; by default what binding the model has found, if anything.
        calibration: of the fit, if it was simulated.
        reference: another fit of the same model and data, such as F-VI (`Table()`), whose ELBO is
            drawn beside.
        title: the page's heading.

    Returns:
        The path.

    Raises:
        ArgumentError: records of different data, something other than these records, or a file
            that cannot be written there.

    Example:
        >>> found = amortis.diagnose(fitted, key=jax.random.key(1))
        >>> amortis.report(fitted, found, path="report.html")
    """
    require_records(fitted, diagnosis, verdict, calibration, reference, title)
    target = require_place(path)
    verdict = fitted.model.verdict if verdict is None else verdict
    sample = sample_rows(fitted.model.size) if diagnosis is None else diagnosis_sample(diagnosis)
    values = function_values(fitted, sample)
    elbo = elbo_panel(fitted, reference)
    elbo_figure = figures([] if elbo is None else [elbo], "elbo", fit_table(fitted))
    function_note = sample.note if values is None else _function_note(values, sample)
    contents = Contents(
        (
            ("numbers", "Numbers", numbers_section(fitted, diagnosis, reference)),
            ("elbo", "Fit", section("elbo", "The fit", elbo_figure)),
            ("function", "Function and optimum", function_section(values, function_note)),
            *_measured(fitted, diagnosis, sample),
            ("globals", "Globals", globals_section(fitted, fitted.moments())),
            ("when", "Graph", verdict_section(verdict)),
            ("calibration", "Calibration", calibration_section(calibration)),
            ("settings", "Settings", settings_section(fitted)),
            ("made", "How it was made", _how_it_was_made()),
        )
    )
    function = type(fitted.guide.inference).__name__
    heading = title or f"{function} for {fitted.model.size:,} units of {fitted.model.plate!r}"
    table = row_table(fitted, diagnosis, sample, values)
    text = _document(heading, answer(fitted, diagnosis), tiles(fitted, diagnosis), contents, table)
    with replacing(target) as stream:
        stream.write(text.encode("utf8", errors="replace"))
    return target


def _measured(
    fitted: Fit, diagnosis: Diagnosis | None, sample: RowSample
) -> tuple[tuple[str, str, Markup | None], ...]:
    """The sections that a diagnosis has something to say in."""
    if diagnosis is None:
        return ()
    return (
        ("gap", "Gap", gap_section(fitted, diagnosis, sample)),
        ("steps", "Steps", steps_section(diagnosis)),
        ("k-hat", "k-hat", k_hat_section(diagnosis, sample)),
        ("collapse", "Latents", collapse_section(diagnosis)),
    )


def _document(
    heading: str, answered: Markup, matters: Markup, contents: Contents, table: list[Any]
) -> str:
    # Nothing but this very script and style runs, even if a name were to slip through unescaped.
    policy = (
        f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"script-src '{_digest(SCRIPT)}'; style-src '{_digest(STYLE)}'"
    )
    shown_heading = shown_name(heading)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content="amortis"),
        element("link", rel="icon", href="data:,"),
        element("title", shown_heading),
        element("style", as_it_is(STYLE)),
    )
    keys = (
        "Point at a mark to read it; or go to a picture with the Tab key, and from mark to mark "
        "with the arrow keys."
    )
    body = element(
        "body",
        element(
            "header",
            element("h1", element("bdi", shown_heading)),
            answered,
            matters,
            contents.navigation(),
            paragraph(keys, class_="note keys"),
        ),
        element("main", contents.body()),
        element("footer", "Made by amortis: amortized variational inference, checked."),
        element("div", id="tip", role="status", hidden=""),
        json_data("rows", table),
        element("script", as_it_is(SCRIPT)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en').text}\n"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _function_note(values: FunctionValues, sample: RowSample) -> str:
    if len(values.place) == len(sample.rows):
        return sample.note
    return f"{len(values.place):,} of {sample.size:,} rows are shown."


def _how_it_was_made() -> Markup:
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    return section(
        "made",
        "How it was made",
        paragraph(
            f"Written on {day} (UTC). The gap is paired: each row's own factor is optimized from "
            "the function's output with the globals' factor held, and both are compared on the "
            "same fresh draws. k-hat is estimated from the largest importance weights by Pareto "
            "smoothing. Rows are numbered from 0, as in the data."
        ),
        paragraph(
            "References: Margossian & Blei, Amortized Variational Inference: When and Why? (2024); "
            "Cremer, Li & Duvenaud, Inference Suboptimality in Variational Autoencoders (2018); "
            "Vehtari et al., Pareto Smoothed Importance Sampling (2024)."
        ),
    )
