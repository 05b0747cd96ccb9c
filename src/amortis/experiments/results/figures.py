"""The paper's figures as PNG: paths against iterations and time, and boxes across seeds."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amortis.data import replacing
from amortis.experiments.results.summary import Runs, Summary, SummaryRow
from amortis.experiments.runs import Arm, RunPath
from amortis.experiments.settings import Method
from amortis.report.matplotlib_import import new_figure

_CONSTANT, _TABLE, _DEFAULT = "#7F7F7F", "#D55E00", "#CC79A7"
_NETWORKS = ("#CFE3F1", "#0B3C5D")
"""Ends of the blues of A-VI, from the smallest function to the largest."""

_FLOOR = 1e-6
"""Nats per datum below which 32 bit tells nothing apart; the lowest value of a gap's axis."""

_LINEAR = 1e-3
"""Nats per datum below which the axis of noisy paths is linear."""

_POINTS = 80
"""Of a path as it is drawn."""


def write_figures(folder: Path, summary: Summary, runs: Runs) -> list[str]:
    """Draw all pictures of an experiment at a setting.

    Args:
        folder: where the PNG files go.
        summary: of the runs.
        runs: all of them.

    Returns:
        The names written.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: a file cannot be written.
    """
    pictures: dict[str, Callable[[], Any]] = {
        "paths_iterations.png": lambda: _paths(summary, runs, "iterations"),
        "paths_seconds.png": lambda: _paths(summary, runs, "seconds"),
        "losses.png": lambda: _losses(summary),
    }
    if any(not row.arm.ours for row in summary.rows):
        pictures["iterations.png"] = lambda: _iterations(summary)
    if any(row.method.window and "gap_per_datum" in _values(runs, row) for row in summary.rows):
        pictures["windows.png"] = lambda: _windows(summary, runs)
    for name, picture in pictures.items():
        figure = picture()
        with replacing(folder / name) as stream:
            figure.savefig(stream, format="png")
    return list(pictures)


def colors(methods: Sequence[Method]) -> dict[str, str]:
    """A color for each method: constant gray, F-VI vermilion, A-VI from light to dark blue."""
    networks = [m.name for m in methods if m.function in ("mlp", "polynomial")]
    ends = [np.array([int(end[i : i + 2], 16) for i in (1, 3, 5)]) for end in _NETWORKS]
    found = {"constant": _CONSTANT, "table": _TABLE, "default": _DEFAULT}
    made = {method.name: found.get(method.function, "") for method in methods}
    for i, name in enumerate(networks):
        share = (i + 1) / len(networks)
        mixed = (1 - share) * ends[0] + share * ends[1]
        made[name] = "#" + "".join(f"{round(part):02X}" for part in mixed)
    return made


def _paths(summary: Summary, runs: Runs, against: str) -> Any:
    """Gap to the best known loss on logarithmic axes, one panel per kind of optimiser.

    Sampled losses scatter around the best known, so that the axis is linear below a thousandth of
    a nat per datum.
    """
    panels = _panels(summary)
    figure = new_figure(4.2 * len(panels) + 1.8, 4.0)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    shades = colors(summary.campaign.settings.methods)
    shown: set[str] = set()
    highest = _LINEAR
    for axes, (title, arms) in zip(grid, panels.items(), strict=True):
        for name, result in runs.items():
            method = name.method.name
            if (method, name.arm.name) not in arms:
                continue
            times, gaps = _gap_path(result.path, summary, method, against)
            marker = {"marker": "o", "markersize": 2.0} if name.arm.ours else {}
            highest = max(highest, *gaps[np.isfinite(gaps)], 0.0)
            label = "" if method in shown else method
            shown.add(method)
            style = {"color": shades[method], "linewidth": 0.6, "alpha": 0.8, **marker}
            axes.plot(times, gaps, label=label, **style)
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=_LINEAR)
        axes.set_title(title, fontsize=9)
        low, high = axes.get_xlim()
        axes.set_xlim(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)))
        axes.tick_params(axis="x", which="minor", labelbottom=False)
        axes.set_xlabel(
            "iterations" if against == "iterations" else "seconds; a first seed also compiles"
        )
        axes.grid(alpha=0.25)
    grid[0].set_ylim(-2.0 * _LINEAR, 1.5 * highest)
    grid[0].set_ylabel("ELBO below the best known (nats per datum)")
    legend = figure.legend(loc="outside right upper", fontsize=7)
    for line in legend.get_lines():
        line.set_linewidth(2.0)
    figure.suptitle(_title(summary), fontsize=10)
    return figure


def _panels(summary: Summary) -> dict[str, set[tuple[str, str]]]:
    """Ours; Adam at each method's first rate; Adam at the second one."""
    rates, panels = summary.campaign.plan.rates, dict[str, set[tuple[str, str]]]()
    titles = ("the paper's optimiser, rates as printed", "the paper's optimiser, the other rate")
    for row in summary.rows:
        if row.arm.rate is None:
            title = "ours: amortis.fit, defaults"
        else:
            title = titles[min(rates[row.method.name].index(row.arm.rate), 1)]
        panels.setdefault(title, set()).add((row.method.name, row.arm.name))
    return panels


def _gap_path(
    path: RunPath, summary: Summary, method: str, against: str
) -> tuple[np.ndarray, np.ndarray]:
    times = np.asarray(path.iterations if against == "iterations" else path.seconds, np.float64)
    gaps = np.asarray(path.losses, np.float64) - summary.best[method]
    gaps /= summary.rows_of[method]
    if len(times) <= _POINTS:
        return times, gaps
    # Means over stretches that grow with time: as fine as the axis shows, and with less noise.
    starts = np.unique(np.geomspace(1, len(times) + 1, _POINTS).astype(int))[:-1] - 1
    lengths = np.diff(np.append(starts, len(times)))
    return times[starts + lengths - 1], np.add.reduceat(gaps, starts) / lengths


def _losses(summary: Summary) -> Any:
    """Boxes of the final losses across seeds, as gaps to the best known."""

    def gaps(row: SummaryRow) -> list[float]:
        best, rows = summary.best[row.method.name], summary.rows_of[row.method.name]
        return [max((v - best) / rows, _FLOOR) for v in row.losses if math.isfinite(v)]

    return _boxes(summary, summary.rows, gaps, "final ELBO below the best known (nats per datum)")


def _iterations(summary: Summary) -> Any:
    """Boxes of the iterations to 1 % by the code's rule, of the runs that arrive."""
    rows = [row for row in summary.rows if not row.arm.ours]

    def times(row: SummaryRow) -> list[float]:
        return [run.code[-1] for run in row.convergence if math.isfinite(run.code[-1])]

    return _boxes(summary, rows, times, "iterations to within 1 % of F-VI's loss; beside: arrived")


def _boxes(
    summary: Summary,
    rows: Sequence[SummaryRow],
    values: Callable[[SummaryRow], list[float]],
    label: str,
) -> Any:
    figure = new_figure(6.8, 1.2 + 0.24 * len(rows))
    axes = figure.add_subplot()
    shades = colors(summary.campaign.settings.methods)
    for i, row in enumerate(rows):
        found = values(row)
        shade = shades[row.method.name]
        if found:
            box = axes.boxplot(
                found, positions=[i], orientation="horizontal", widths=0.6, patch_artist=True
            )
            for patch in box["boxes"]:
                patch.set(facecolor=shade, alpha=0.35 if row.arm.ours else 0.8)
            for line in box["medians"]:
                line.set(color="black")
        if len(found) < len(row.losses):
            note = f" {len(found)} of {len(row.losses)}"
            axes.text(1.0, i, note, transform=axes.get_yaxis_transform(), fontsize=7, va="center")
    names = [_label(row.method, row.arm) for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.set_title(_title(summary), fontsize=10)
    axes.grid(axis="x", alpha=0.25)
    return figure


def _windows(summary: Summary, runs: Runs) -> Any:
    """The gap to F-VI against the half-width of the window, with its closed form."""
    windowed = [row for row in summary.rows if row.method.window]
    data = list(dict.fromkeys(row.method.data for row in windowed))
    figure = new_figure(3.6 * len(data) + 0.8, 3.6)
    grid = figure.subplots(1, len(data), sharey=True, squeeze=False)[0]
    for axes, of in zip(grid, data, strict=True):
        for function, label, style in (
            ("polynomial", "linear function", {"color": "#0072B2", "marker": "o"}),
            ("mlp", "network", {"color": "#009E73", "marker": "s"}),
        ):
            mine = [r for r in windowed if r.method.data == of and r.method.function == function]
            widths = [max(row.method.window) for row in mine]
            gaps = [np.asarray(_values(runs, row)["gap_per_datum"]) for row in mine]
            middle = [max(float(np.median(gap)), _FLOOR / 10) for gap in gaps]
            axes.plot(widths, middle, linestyle="none", label=label, markersize=5, **style)
            if function == "polynomial":
                closed = [_closed_gap(summary, row) for row in mine]
                axes.plot(widths, closed, color="black", linewidth=1.0, label="closed form, linear")
        axes.set_yscale("log")
        axes.set_xlabel("half-width w of the window")
        axes.set_title({"gp": "Gaussian process"}.get(of, of), fontsize=9)
        axes.grid(alpha=0.25)
    grid[0].set_ylabel("gap to F-VI (nats per datum), median of seeds")
    grid[0].legend(fontsize=7)
    figure.suptitle(_title(summary), fontsize=10)
    return figure


def _closed_gap(summary: Summary, row: SummaryRow) -> float:
    reference = math.nan if row.expected is None else row.expected.best
    name = row.method.name
    return (reference - summary.best[name]) / summary.rows_of[name]


def _values(runs: Runs, row: SummaryRow) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, result in runs.items():
        if (name.method.name, name.arm.name) == (row.method.name, row.arm.name):
            for key, value in result.values.items():
                found.setdefault(key, []).append(value)
    return found


def _label(method: Method, arm: Arm) -> str:
    return f"{method.name}, {arm.name}"


def _title(summary: Summary) -> str:
    campaign = summary.campaign
    return f"{campaign.settings.title}, as the {campaign.plan.setting.value} has it"
