"""The picture of Gaussian targets: what mean-field understates, and who recovers the truth."""

from typing import Any

import numpy as np

from amortis.experiments.gaussian_vi.gaussian import random_gaussian
from amortis.experiments.gaussian_vi.gaussian_target import BAR, TargetResult, TargetRow, rows_of
from amortis.report.matplotlib_import import new_figure

_SHADES = ("#9ECAE1", "#6BAED6", "#3182BD", "#08519C", "#08204A")
_CONDITIONS = ("#56B4E9", "#E69F00", "#D55E00")
_FLOOR = 1e-8


def target_figure(result: TargetResult) -> Any:
    """Understatement against the condition number, and the errors of every method.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(11.4, 3.9)
    entropy, sds, errors = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 1.25))
    fitted = rows_of(result, "mean-field")
    for dimension, shade in zip(result.size.dimensions, _SHADES, strict=False):
        rows = [row for row in fitted if row.dimension == dimension]
        where = np.geomspace(min(result.size.conditions), max(result.size.conditions), 16)
        exact = [random_gaussian(dimension, float(c), seed=dimension) for c in where]
        shares = [np.exp(np.log(t.factorized_sds / t.sds).mean()) for t in exact]
        label = f"d = {dimension}"
        entropy.plot(where, [t.factorized_kl for t in exact], color=shade, label=label)
        sds.plot(where, shares, color=shade, label=label)
        points = {"linestyle": "none", "marker": "o", "markersize": 4.5, "color": shade}
        entropy.plot([r.condition for r in rows], [r.kl for r in rows], **points)
        sds.plot([r.condition for r in rows], [r.sd_share for r in rows], **points)
    entropy.set(yscale="log", ylabel="nats", title="entropy understated, which is the KL")
    sds.set(yscale="log", ylabel="q's sd over the true sd", title="sd, geometric mean")
    sds.set_yticks((0.01, 0.03, 0.1, 0.3, 1.0), ("0.01", "0.03", "0.1", "0.3", "1"))
    for axes in (entropy, sds):
        axes.set(xscale="log", xlabel="condition number of the precision")
        axes.grid(alpha=0.25)
        axes.title.set_fontsize(9)
    entropy.legend(fontsize=7, frameon=False)
    _errors(errors, result)
    figure.suptitle(
        "Factorized Gaussian fits of Gaussian posteriors: lines closed form, points fitted",
        fontsize=10,
    )
    return figure


def _errors(axes: Any, result: TargetResult) -> None:
    """The larger of both errors, one point per target; light to heavy condition."""
    methods = list(dict.fromkeys(row.method for row in result.rows))
    for i, method in enumerate(methods):
        rows = rows_of(result, method)
        for j, (condition, shade) in enumerate(
            zip(result.size.conditions, _CONDITIONS, strict=False)
        ):
            found = [_worst(row) for row in rows if row.condition == condition]
            places = i + 0.22 * (j - 1) + np.linspace(-0.07, 0.07, max(len(found), 1))
            label = f"condition {condition:.0e}" if i == 0 else None
            axes.scatter(places[: len(found)], found, s=14, color=shade, label=label)
    axes.axhline(BAR, color="black", linewidth=0.8, linestyle=":")
    axes.text(len(methods) - 0.5, BAR * 1.3, "1 %", fontsize=7, ha="right")
    axes.set_xticks(
        range(len(methods)),
        [m.replace(" ", "\n").replace("and-", "and-\n") for m in methods],
        fontsize=7,
    )
    axes.set(yscale="log", title="largest error of a mean (sds) or sd (relative)")
    axes.title.set_fontsize(9)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(fontsize=7, loc="upper left")
    axes.set_ylim(_FLOOR / 2, 30.0)


def _worst(row: TargetRow) -> float:
    return max(row.mean_error, row.sd_error, _FLOOR)
