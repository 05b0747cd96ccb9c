"""A panel as a PNG file by matplotlib, from the same record as the picture in a page."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from amortis._errors import ArgumentError
from amortis.data import replacing
from amortis.diagnostics import Diagnosis
from amortis.fitting import Fit
from amortis.report.calibration_series import CalibrationLike, calibration_panel
from amortis.report.diagnosis_series import diagnosis_sample, gap_panels, k_hat_panel
from amortis.report.function_series import function_panels, function_values
from amortis.report.matplotlib_import import new_figure
from amortis.report.panel import Axis, Hue, Panel
from amortis.report.plots import FilePath
from amortis.report.row_sample import sample_rows
from amortis.report.step_series import steps_panel
from amortis.report.ticks import linear_ticks, log_ticks

_COLORS = {
    Hue.FIRST: "#0072B2",
    Hue.SECOND: "#D55E00",
    Hue.WARNING: "#9A6700",
    Hue.BAD: "#B3261E",
    Hue.QUIET: "#5D6670",
}
_BESIDE, _WIDTH, _HEIGHT = 2, 5.2, 3.9
_MOST_SITES = 12


def plot_gap(fitted: Fit, diagnosis: Diagnosis, path: FilePath) -> None:
    """Plot the gap of each row, in nats, against what the function reads.

    Args:
        fitted: the fit.
        diagnosis: of that fit.
        path: the PNG file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: the rows were not measured one by one, or the file cannot be written.
    """
    panels = gap_panels(fitted.model, diagnosis, diagnosis_sample(diagnosis))
    _plot(panels, path, "gaps of rows", "rows that touch each other have none")


def plot_k_hat(diagnosis: Diagnosis, path: FilePath) -> None:
    """Plot k-hat of each row, beside 0.5, 0.7 and 1 at which its meaning changes.

    Args:
        diagnosis: of a fit.
        path: the PNG file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: the rows were not measured one by one, or the file cannot be written.
    """
    panel = k_hat_panel(diagnosis, diagnosis_sample(diagnosis))
    panels = () if panel is None else (panel,)
    _plot(panels, path, "k-hats of rows", "rows that touch each other have none")


def plot_steps(diagnosis: Diagnosis, path: FilePath) -> None:
    """Plot the gap per row, in nats, against the number of steps that the function takes.

    Args:
        diagnosis: of a fit with `Iterative(…)` or `GradientAscent(…)`.
        path: the PNG file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: the function takes no steps, or the file cannot be written.
    """
    panel = steps_panel(diagnosis)
    panels = () if panel is None else (panel,)
    _plot(panels, path, "gaps against steps", "fit with amortis.Iterative()")


def plot_function(fitted: Fit, path: FilePath, diagnosis: Diagnosis | None = None) -> None:
    r"""Plot the function's factor of each row beside the row's own optimum, with q(theta) held.

    Args:
        fitted: the fit.
        path: the PNG file.
        diagnosis: of that fit; the rows with the largest gaps are then among those shown.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: the rows cannot be evaluated apart, or the file cannot be written.
    """
    size = fitted.model.size
    sample = sample_rows(size) if diagnosis is None else diagnosis_sample(diagnosis)
    values = function_values(fitted, sample)
    panels = () if values is None else function_panels(values, sample.note)
    _plot(panels, path, "optima of rows", "rows that touch each other have none of their own")


def plot_calibration(calibration: CalibrationLike, path: FilePath) -> None:
    """Plot how far the ranks of simulated true values are from uniform, with their 95 % bands.

    Args:
        calibration: what the simulations found.
        path: the PNG file; the first 12 sites are shown.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: there is no site, or the file cannot be written.
    """
    sites = list(calibration.sites.items())[:_MOST_SITES]
    panels = [calibration_panel(name, site) for name, site in sites]
    _plot(panels, path, "sites in the calibration", "simulate a model with latents")


def _plot(panels: Sequence[Panel], path: FilePath, what: str, remedy: str) -> None:
    if not panels:
        raise ArgumentError(f"there are no {what} to plot; expected at least one: {remedy}")
    columns = min(len(panels), _BESIDE)
    rows = -(-len(panels) // columns)
    figure = new_figure(_WIDTH * columns, _HEIGHT * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    notes = sorted({panel.note for panel in panels if panel.note})
    if notes:
        figure.supxlabel("\n".join(notes), fontsize=7, color=_COLORS[Hue.QUIET], parse_math=False)
    with replacing(path) as stream:
        figure.savefig(stream, format="png")


def _draw(axes: Any, panel: Panel) -> None:
    for band in panel.bands:
        axes.fill_between(
            band.x, band.low, band.high, color="#dde6ee", linewidth=0, label=band.label
        )
    for level in panel.levels:
        axes.axhline(level.y, color=_COLORS[level.hue], linestyle="--", linewidth=0.9)
        if level.label:
            axes.annotate(
                level.label,
                (1.0, level.y),
                xycoords=("axes fraction", "data"),
                xytext=(-3, 2),
                textcoords="offset points",
                ha="right",
                fontsize=7,
                color=_COLORS[level.hue],
            )
    size = 14.0 if sum(len(points.x) for points in panel.points) < 150 else 6.0
    for points in panel.points:
        axes.scatter(
            points.x,
            points.y,
            s=size,
            alpha=0.55,
            color=_COLORS[points.hue],
            linewidths=0,
            label=points.label,
        )
    for line in panel.lines:
        style = "--" if line.dashed else "-"
        axes.plot(line.x, line.y, style, color=_COLORS[line.hue], linewidth=1.5, label=line.label)
    _scale(axes, panel)
    axes.set_title(panel.title, fontsize=10, loc="left", parse_math=False)
    axes.set_xlabel(panel.x.label, parse_math=False)
    axes.set_ylabel(panel.y.label, parse_math=False)
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(panel.bands) + len(panel.lines) + len(panel.points) > 1:
        axes.legend(fontsize=7, framealpha=0.9)


def _scale(axes: Any, panel: Panel) -> None:
    if panel.x.log:
        axes.set_xscale("log")
    if panel.y.log:
        axes.set_yscale("log")
    axes.set_xlim(panel.x.low, panel.x.high)
    axes.set_ylim(panel.y.low, panel.y.high)
    for along, ticks in ((axes.set_xticks, _ticks(panel.x)), (axes.set_yticks, _ticks(panel.y))):
        along(np.array([value for value, _ in ticks]), [label for _, label in ticks])
        along([], minor=True)


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    return (log_ticks if axis.log else linear_ticks)(axis.low, axis.high)
