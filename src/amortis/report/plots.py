"""Plots as PNG files: the ELBO over time, images in rows, and the globals with their spread."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from amortis._errors import ArgumentError
from amortis.data import replacing
from amortis.report.matplotlib_import import new_figure
from amortis.report.numbers import Moments, flat_entries

FilePath = str | os.PathLike[str]
"""Where a plot goes."""

# Okabe and Ito's colors, which stay apart for every kind of color vision; black is the reference's.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")

_MOST_GLOBALS = 40

_WIDE_TIMES = 12.0
"""Ratio of the longest to the shortest fit past which seconds go on a logarithmic axis."""


@runtime_checkable
class Trace(Protocol):
    """An objective over time, such as a `History`."""

    @property
    def seconds(self) -> Float[np.ndarray, " blocks"]:
        """Wall time since the start."""
        ...

    @property
    def objective(self) -> Float[np.ndarray, " blocks"]:
        """The ELBO as the optimiser saw it, in nats, total."""
        ...


def plot_elbo(
    traces: Mapping[str, Trace],
    path: FilePath,
    *,
    reference: tuple[str, float] | None = None,
    size: int | None = None,
    title: str = "",
) -> None:
    """Plot the ELBO of several fits against seconds, above the steep ascent at the start.

    Args:
        traces: by label, a fit's history.
        path: the PNG file.
        reference: label and value in nats, total, of a horizontal line, such as the exact log
            evidence.
        size: number of rows to divide by, for nats per datum; totals if left out.
        title: heading of the plot.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: no trace has a finite value, or the file cannot be written.
    """
    curves = {label: _finite(trace, size or 1) for label, trace in traces.items()}
    curves = {label: curve for label, curve in curves.items() if curve[0].size}
    if not curves:
        raise ArgumentError(
            f"none of the {len(traces)} histories has a finite objective; expected at least one: "
            f"fit for longer"
        )
    level = None if reference is None else reference[1] / (size or 1)
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    for i, (label, (seconds, objective)) in enumerate(curves.items()):
        style = {"color": _COLORS[i % len(_COLORS)], "marker": _MARKERS[i % len(_MARKERS)]}
        every = max(len(seconds) // 25, 1)
        axes.plot(seconds, objective, label=label, markersize=3.5, markevery=every, **style)
    if reference is not None:
        axes.axhline(level, color="black", linestyle="--", linewidth=1.0, label=reference[0])
    axes.set_ylim(*elbo_limits([objective for _, objective in curves.values()], level))
    ends = [float(seconds[-1]) for seconds, _ in curves.values()]
    if max(ends) > _WIDE_TIMES * min(ends):
        axes.set_xscale("log")
    else:
        axes.set_xlim(0.0, 1.04 * max(ends))
    axes.set_xlabel("seconds, compilation included")
    axes.set_ylabel("ELBO (nats, total)" if size is None else "ELBO (nats per datum)")
    axes.set_title(title)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", framealpha=0.9)
    _save(figure, path)


def elbo_limits(
    objectives: Sequence[Float[np.ndarray, " blocks"]], reference: float | None
) -> tuple[float, float]:
    """Limits that show where each fit arrives and how, without the steep ascent at the start.

    From where the later half of the lowest fit lies to the highest of all or the reference, with a
    margin; but at least a fiftieth of the whole ascent, and a five-thousandth of the level, so that
    a fit that arrives in its first block does not show its rounding. Low values are quantiles: one
    step gone astray must not flatten the plot.

    Args:
        objectives: finite values of each fit in order of time, none empty.
        reference: a level that must be visible, or None.

    Returns:
        The lower and the upper limit.
    """
    levels = [] if reference is None else [reference]
    top = max([float(values.max()) for values in objectives] + levels)
    late = min([_low(values[len(values) // 2 :]) for values in objectives] + levels)
    lowest = min(_low(values) for values in objectives)
    height = max(top - late, 0.02 * (top - lowest), 2e-4 * max(abs(top), 1e-30))
    return top - 1.15 * height, top + 0.08 * height


def plot_images(
    rows: Mapping[str, Float[np.ndarray, "count height width"]], path: FilePath, *, title: str = ""
) -> None:
    """Plot rows of gray images under one another, one label per row, all on one gray scale.

    Args:
        rows: by label, the images of a row; the first row sets black and white.
        path: the PNG file.
        title: heading of the plot.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: there is no image, or rows differ in number or shape; or the file cannot be
            written.
    """
    shapes = {label: images.shape for label, images in rows.items()}
    if len(set(shapes.values())) != 1 or 0 in next(iter(shapes.values())):
        listed = ", ".join(f"{label!r} {shape}" for label, shape in shapes.items()) or "none"
        raise ArgumentError(
            f"rows of images have shapes {listed}; expected one shape (count, height, width) for "
            f"all: give each row the same images"
        )
    first = next(iter(rows.values()))
    count = first.shape[0]
    low, high = float(first.min()), float(first.max())
    figure = new_figure(1.6 + 0.8 * count, 0.35 + 0.85 * len(rows))
    grid = figure.subplots(len(rows), count, squeeze=False)
    for cells, (label, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(cells, images, strict=True):
            axes.imshow(image, cmap="gray_r", vmin=low, vmax=high, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
        cells[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=8)
    figure.suptitle(title)
    _save(figure, path)


def plot_globals(moments: Moments, path: FilePath, *, title: str = "") -> None:
    """Plot the mean of each global with a bar of two standard deviations to both sides.

    Args:
        moments: by site, mean and standard deviation on the constrained scale.
        path: the PNG file; the first 40 entries are shown.
        title: heading of the plot.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: there is no entry, or the file cannot be written.
    """
    entries = [
        entry for name, (mean, sd) in moments.items() for entry in flat_entries(name, mean, sd)
    ]
    if not entries:
        raise ArgumentError("there are no globals to plot; expected at least one: skip this plot")
    shown = entries[:_MOST_GLOBALS]
    figure = new_figure(6.0, 1.1 + 0.22 * len(shown))
    axes = figure.add_subplot()
    heights = np.arange(len(shown))
    means, sds = (np.array([entry[j] for entry in shown]) for j in (1, 2))
    axes.errorbar(
        means, heights, xerr=2.0 * sds, fmt="o", color=_COLORS[0], markersize=4, capsize=2
    )
    axes.set_yticks(heights, [label for label, _, _ in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel("mean ± 2 standard deviations")
    left_out = len(entries) - len(shown)
    note = f"first {len(shown)} of {len(entries)} globals" if left_out else ""
    axes.set_title(": ".join(part for part in (title, note) if part))
    axes.grid(axis="x", alpha=0.25)
    _save(figure, path)


def _low(values: Float[np.ndarray, " some"]) -> float:
    return min(float(np.quantile(values, 0.1)), float(values[-1]))


def _finite(
    trace: Trace, divisor: int
) -> tuple[Float[np.ndarray, " kept"], Float[np.ndarray, " kept"]]:
    objective = np.asarray(trace.objective, np.float64)
    keep = np.isfinite(objective)
    return np.asarray(trace.seconds, np.float64)[keep], objective[keep] / divisor


def _save(figure: Any, path: FilePath) -> None:
    with replacing(path) as stream:
        figure.savefig(stream, format="png")
