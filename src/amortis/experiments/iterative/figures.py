"""Pictures of the experiment."""

from typing import Any

import numpy as np

from amortis.experiments.iterative.run import IterativeResult
from amortis.experiments.iterative.surface import Surface
from amortis.report.matplotlib_import import new_figure

_COLOURS = ("black", "#9ECAE1", "#6BAED6", "#2171B5", "#08306B", "#009E73", "#E69F00")
_LEARNED, _OPTIMUM = "#2171B5", "#D55E00"
_TOP = 25.0
"""Nats below the best that curves are shown."""


def training_figure(result: IterativeResult) -> Any:
    """Held-out ELBOs against time and against optimisation steps.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(9.5, 4.0)
    by_time, by_steps = figure.subplots(1, 2, sharey=True)
    for run, colour in zip(result.runs, _COLOURS, strict=False):
        seconds = np.asarray(run.seconds)
        steps = run.iterations * seconds / seconds[-1]
        for axes, across in ((by_time, seconds), (by_steps, steps)):
            axes.plot(
                across, run.held_out, color=colour, marker="o", markersize=2.5, label=run.name
            )
    by_time.set_xlabel("training time (s)")
    by_steps.set_xlabel("optimisation steps")
    by_steps.set_xscale("log")
    by_time.set_ylabel("held-out ELBO (nats per image)")
    highest = max(max(run.held_out) for run in result.runs)
    by_time.set_ylim(highest - _TOP, highest + 1.0)
    by_steps.legend(fontsize=7, frameon=False)
    return figure


def ways_figure(result: IterativeResult) -> Any:
    """ELBOs from step to step of inference.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(9.5, 4.0)
    plain = [c for c in result.ascents if c.name.startswith("plain")]
    others = [c for c in result.ascents if not c.name.startswith("plain")]
    for axes, curves, title in zip(
        figure.subplots(1, 2, sharey=True), (others, plain), ("Adam", "plain steps"), strict=True
    ):
        shades = [str(shade) for shade in np.linspace(0.75, 0.15, max(len(curves), 1))]
        for curve, shade in zip(curves, shades, strict=False):
            axes.plot(np.arange(len(curve.elbos)), curve.elbos, color=shade, label=curve.name)
        for curve, marker in ((result.learned, "o"), (result.alone, "s")):
            axes.plot(
                np.arange(len(curve.elbos)),
                curve.elbos,
                color=_LEARNED,
                marker=marker,
                markersize=2.5,
                label=curve.name,
            )
        axes.axhspan(result.optimum - 0.5, result.optimum, color=_OPTIMUM, alpha=0.15, lw=0)
        axes.axhline(result.optimum, color=_OPTIMUM, ls="--", lw=1, label="own optima")
        axes.set_title(f"gradient ascent by {title}", fontsize=9)
        axes.set_xlabel("steps of inference")
        axes.set_ylim(result.optimum - 2.0 * _TOP, result.optimum + 2.0)
        axes.legend(fontsize=7, framealpha=0.9, loc="lower right")
    figure.axes[0].set_ylabel("held-out ELBO (nats per image)")
    return figure


def surface_figure(surface: Surface) -> Any:
    """The ELBO over two means, and the gap enlarged.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(10.0, 4.6)
    wide, near = figure.subplots(1, 2)
    _contours(wide, surface.first, surface.second, surface.elbo)
    _contours(near, surface.near_first, surface.near_second, surface.near_elbo)
    for axes in (wide, near):
        axes.plot(*surface.ascent.T, color="#E69F00", lw=1, label="gradient ascent", zorder=3)
        axes.plot(
            *surface.iterative.T,
            color=_LEARNED,
            marker="o",
            markersize=3.5,
            lw=1.2,
            label=f"iterative ({surface.iterative_elbo:.2f})",
            zorder=4,
        )
        axes.plot(
            *surface.encoder,
            color="black",
            marker="s",
            ls="",
            label=f"encoder ({surface.encoder_elbo:.2f})",
            zorder=5,
        )
        axes.plot(
            *surface.optimum,
            color=_OPTIMUM,
            marker="*",
            markersize=11,
            ls="",
            label=f"optimum ({surface.optimum_elbo:.2f})",
            zorder=6,
        )
        axes.set_xlabel("mean of the first latent")
    x, y = surface.near_first, surface.near_second
    wide.add_patch(_box(x, y))
    wide.set_ylabel("mean of the second latent")
    near.set_title("the gap, enlarged", fontsize=9)
    wide.set_title(f"ELBO of held-out image {surface.image} (nats)", fontsize=9)
    for axes, across, up in (
        (wide, surface.first, surface.second),
        (near, x, y),
    ):
        axes.set_xlim(across[0], across[-1])
        axes.set_ylim(up[0], up[-1])
    handles, labels = near.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _contours(axes: Any, x: np.ndarray, y: np.ndarray, elbo: np.ndarray) -> None:
    # Levels crowd where the surface is high: quantiles of the drop below its top.
    top = float(elbo.max())
    drops = np.geomspace(0.02, 1.0, 14) * (top - float(elbo.min()))
    levels = np.sort(top - drops)
    axes.contourf(x, y, elbo, levels=[*levels, top], cmap="Greys_r", alpha=0.55)
    axes.contour(x, y, elbo, levels=levels, colors="0.55", linewidths=0.4)


def _box(x: np.ndarray, y: np.ndarray) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (x[0], y[0]), x[-1] - x[0], y[-1] - y[0], fill=False, ec="black", lw=0.8, zorder=7
    )
