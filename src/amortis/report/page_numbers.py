"""The numbers of a report page: the few that matter most, and all of them with their units."""

import math
from collections.abc import Mapping

import numpy as np

from amortis.diagnostics import Diagnosis, HeldOut
from amortis.fitting import Estimate, Fit
from amortis.report.diagnosis_series import rows_are_measured
from amortis.report.elbo_series import function_label, last_objective
from amortis.report.markup import Child, Markup, element, shown_name
from amortis.report.numbers import versions
from amortis.report.page_parts import estimate_row, number_row, section, table, tile
from amortis.report.ticks import number, with_error

_LONGEST_SETTING = 300


def tiles(fitted: Fit, diagnosis: Diagnosis | None) -> Markup:
    """The few numbers that matter most."""
    size = fitted.model.size
    made = [tile("Rows", f"{size:,}", f"units of the plate {shown_name(fitted.model.plate)!r}")]
    if diagnosis is None:
        objective = last_objective(fitted)
        made.append(tile("ELBO", number(objective, 6), "nats, total, on the optimizer's draws"))
    else:
        per_datum, evidence = diagnosis.gap_per_datum, diagnosis.inference_gap
        if math.isfinite(per_datum.mean):
            mean, se = with_error(per_datum.mean, per_datum.se)
            made.append(tile("Gap per row", mean, f"± {se} nats per row"))
        if rows_are_measured(diagnosis):
            share = 100.0 * diagnosis.untrusted / diagnosis.size
            made.append(
                tile(
                    "Rows with k-hat above 0.7",
                    f"{number(share, 2)} %",
                    f"{diagnosis.untrusted:,} rows",
                )
            )
        if evidence is not None:
            mean, se = with_error(evidence.mean, evidence.se)
            made.append(tile("Distance to the posterior", mean, f"± {se} nats, total"))
    seconds = _seconds(fitted)
    made.append(tile("Time of the fit", number(seconds, 3), "seconds, compilation included"))
    return element("dl", *made, class_="tiles")


def numbers_section(fitted: Fit, diagnosis: Diagnosis | None, reference: Fit | None) -> Markup:
    """All numbers, with standard errors, units and meaning."""
    size = fitted.model.size
    rows: list[list[Child]] = []
    if diagnosis is not None:
        elbo = diagnosis.elbo
        rows.append(estimate_row("ELBO", elbo, "evidence lower bound, on fresh draws"))
        each = Estimate(elbo.mean / size, elbo.se / size, "nats per row")
        rows.append(estimate_row("ELBO per row", each, ""))
        rows += _diagnosis_rows(diagnosis)
    last = "objective at the end, on the optimizer's own draws"
    rows.append(number_row("ELBO, last seen", last_objective(fitted), "nats, total", last))
    if reference is not None:
        name = f"ELBO, last seen, of {function_label(reference)}"
        rows.append(number_row(name, last_objective(reference), "nats, total", "the reference"))
        difference = last_objective(fitted) - last_objective(reference)
        meaning = "on the draws of each, which may differ"
        rows.append(number_row("this fit less the reference", difference, "nats, total", meaning))
    rows += [
        number_row("time of the fit", _seconds(fitted), "seconds", "compilation included"),
        number_row("rows", size, "rows", f"units of the plate {shown_name(fitted.model.plate)!r}"),
        number_row("variational parameters", fitted.parameters, "numbers", "of globals and rows"),
    ]
    return section(
        "numbers",
        "Numbers",
        table(
            "Every number with its unit; sampled ones with their standard error (s.e.).",
            ["quantity", "value", "s.e.", "unit", "meaning"],
            rows,
            (1, 2),
            "stacked",
        ),
    )


def _diagnosis_rows(diagnosis: Diagnosis) -> list[list[Child]]:
    rows: list[list[Child]] = []
    if diagnosis.evidence is not None:
        rows.append(estimate_row("log evidence", diagnosis.evidence, "by importance weighting"))
    if diagnosis.inference_gap is not None:
        meaning = "log evidence less ELBO: how far q is from the posterior"
        rows.append(estimate_row("distance to the posterior", diagnosis.inference_gap, meaning))
    meaning = "what factors of their own would gain, with the globals' factor held"
    rows.append(estimate_row("amortization gap", diagnosis.gap, meaning))
    per_datum = diagnosis.gap_per_datum
    each = Estimate(per_datum.mean, per_datum.se, "nats per row")
    tolerance = f"up to {number(diagnosis.tolerance)} nats the function counts as good enough"
    rows.append(estimate_row("amortization gap per row", each, tolerance))
    k = np.asarray(diagnosis.row_k, np.float64)
    if rows_are_measured(diagnosis) and not np.isnan(k).all():
        share = 100.0 * diagnosis.untrusted / diagnosis.size
        of_all = f"{number(share, 2)} % of all"
        rows.append(
            number_row(
                "rows with k-hat above 0.7",
                diagnosis.untrusted,
                "rows",
                of_all,
            )
        )
        rows.append(number_row("largest k-hat of a row", float(np.nanmax(k)), "no unit", ""))
    if diagnosis.by_row:
        meaning = "0.7 is the limit; the rows' latents are integrated out"
        name = "k-hat of the globals"
    else:
        meaning = "0.7 is the limit; the units touch, so that none can be looked at alone"
        name = "k-hat of all latents together"
    rows.append(number_row(name, float(diagnosis.global_k), "no unit", meaning))
    if diagnosis.influential:
        meaning = "rows that the globals hang on: does the model fit them?"
        rows.append(number_row("influential rows", diagnosis.influential, "rows", meaning))
    if diagnosis.reference_gain is not None:
        meaning = "ELBO of the diagnosis's reference less this fit's, on common draws"
        rows.append(estimate_row("reference ahead by", diagnosis.reference_gain, meaning))
    if diagnosis.held_out is not None:
        rows += _held_out_rows(diagnosis.held_out)
    if diagnosis.unsettled:
        meaning = "rows whose own optimum was not found: their gaps are lower bounds"
        rows.append(number_row("unsettled rows", diagnosis.unsettled, "rows", meaning))
    meaning = "of the diagnosis"
    rows.append(number_row("time of the diagnosis", diagnosis.seconds, "seconds", meaning))
    return rows


def _held_out_rows(held_out: HeldOut) -> list[list[Child]]:
    of = f"of {held_out.size:,} held-out rows, with the globals' factor held"
    rows = [estimate_row("held-out gap per row", held_out.gap, of)]
    if math.isfinite(held_out.elbo.mean):
        rows.append(estimate_row("held-out ELBO per row", held_out.elbo, of))
        meaning = "the same of the fitted rows"
        rows.append(estimate_row("fitted ELBO per row", held_out.fitted_elbo, meaning))
    meaning = "held-out rows with k-hat above 0.7"
    rows.append(number_row("held-out rows not trusted", held_out.untrusted, "rows", meaning))
    return rows


def fit_table(fitted: Fit) -> Markup:
    """How the fit ended, and what it took."""
    history = fitted.history
    done = len(history.seconds) > 0
    rows: list[list[Child]] = [
        ["status", str(fitted.status)],
        ["inference function", " ".join(repr(fitted.guide.inference).split())[:_LONGEST_SETTING]],
        ["variational parameters", f"{fitted.parameters:,}"],
        ["iterations", f"{int(history.iterations[-1]):,}" if done else "0"],
        ["draws per iteration", f"{int(history.draws[-1]):,} at the end" if done else "0"],
        ["time", f"{number(_seconds(fitted), 3)} seconds, compilation included"],
    ]
    return table("How the fit ended.", ["fit", "value"], rows)


def settings_section(fitted: Fit) -> Markup:
    """What was fitted, how, and with which versions."""
    model, guide = fitted.model, fitted.guide
    settings = {
        "inference function": repr(guide.inference),
        "factor of the globals": repr(guide.global_family),
        "factor of a row": repr(guide.local_family),
        "globals": _sites(model.globals_),
        "latents of a row": _sites(model.locals_),
        "columns the function reads": ", ".join(map(shown_name, model.input_names[:12])) or "none",
    }
    if fitted.held:
        settings["data"] = "new data; the globals' factor is that of the data fitted before"
    cut = {name: " ".join(text.split())[:_LONGEST_SETTING] for name, text in settings.items()}
    left_out = len(model.input_names) - 12
    if left_out > 0:
        cut["columns the function reads"] += f" and {left_out} more"
    rows: list[list[Child]] = [[name, text] for name, text in cut.items()]
    used: list[list[Child]] = [[name, text] for name, text in versions().items()]
    return section(
        "settings",
        "Settings and versions",
        element(
            "div",
            table("What was fitted, and how.", ["setting", "value"], rows),
            table("Versions.", ["software", "version"], used),
            class_="charts",
        ),
    )


def _sites(sites: Mapping[str, tuple[int, ...]]) -> str:
    shown = [
        f"{shown_name(name)} ({' × '.join(map(str, shape))})" if shape else shown_name(name)
        for name, shape in list(sites.items())[:12]
    ]
    more = len(sites) - len(shown)
    return ", ".join([*shown, f"{more} more"] if more else shown) or "none"


def _seconds(fitted: Fit) -> float:
    seconds = fitted.history.seconds
    return float(seconds[-1]) if len(seconds) else 0.0
