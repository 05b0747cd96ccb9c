"""The posterior predictive and the marginal densities, as PNG."""

from pathlib import Path
from typing import Any

import numpy as np

from amortis.data import replacing
from amortis.experiments.sir.curves import LATENTS
from amortis.experiments.sir.data import CASES, DAYS
from amortis.experiments.sir.results import SirResult
from amortis.experiments.sir.run import EXACT, FLOW, FULL_RANK, MEAN_FIELD
from amortis.report.matplotlib_import import new_figure

_STYLES: dict[str, dict[str, Any]] = {
    EXACT: {"color": "black", "linewidth": 1.6},
    MEAN_FIELD: {"color": "#D55E00", "linewidth": 1.4, "linestyle": "--"},
    FULL_RANK: {"color": "#0072B2", "linewidth": 1.4, "linestyle": "-."},
    FLOW: {"color": "#009E73", "linewidth": 1.4},
}
"""Okabe and Ito's colors, which stay apart for every kind of color vision."""

_SYMBOLS = {"gamma": "γ (per day)", "beta": "β (per day)", "phi_inv": "φ⁻¹"}

_SHOWN = 2e-3
"""Densities below this share of the highest are left out of the picture."""


def write_figures(result: SirResult, folder: Path) -> list[Path]:
    """Draw both figures.

    Args:
        result: what was measured.
        folder: where to; it must exist.

    Returns:
        The files.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: a file cannot be written.
    """
    figures = {"sir-predictive.png": _predictive(result), "sir-densities.png": _densities(result)}
    for name, figure in figures.items():
        with replacing(folder / name) as stream:
            figure.savefig(stream, format="png")
    return [folder / name for name in figures]


def _predictive(result: SirResult) -> Any:
    """Data over the 90 % bands of replicates, one panel per family on one scale."""
    bands = result.drawn.bands
    figure = new_figure(3.3 * len(bands) + 0.5, 3.6)
    grid = figure.subplots(1, len(bands), sharey=True, squeeze=False)[0]
    for axes, (name, lines) in zip(grid, bands.items(), strict=True):
        low, middle, high = (np.asarray(line) for line in lines)
        color = _STYLES[name]["color"]
        axes.fill_between(DAYS, low, high, color=color, alpha=0.22, linewidth=0, label="90 % band")
        axes.plot(DAYS, middle, color=color, linewidth=1.4, label="median")
        axes.plot(DAYS, CASES, "o", color="black", markersize=3.5, label="boys in bed")
        inside = int(np.sum((low <= CASES) & (high >= CASES)))
        axes.set_title(f"{name}: {inside} of {len(CASES)} days inside", fontsize=9)
        axes.set_xlabel("days since the first infection")
        axes.set_xticks(DAYS[1::2])
        axes.set_xlim(DAYS[0] - 0.3, DAYS[-1] + 0.3)
        axes.grid(alpha=0.25)
    grid[0].set_ylim(0.0, None)
    grid[0].set_ylabel("boys in bed")
    grid[-1].legend(fontsize=7, framealpha=0.9)
    figure.suptitle("Influenza at a boarding school, 1978: posterior predictive", fontsize=10)
    return figure


def _densities(result: SirResult) -> Any:
    """Marginal densities on the constrained scale, smooth between the nodes of the grid."""
    from scipy.interpolate import CubicSpline  # slow to import, and needed nowhere else

    figure = new_figure(10.2, 3.6)
    grid = figure.subplots(1, len(LATENTS), squeeze=False)[0]
    for i, (axes, name) in enumerate(zip(grid, LATENTS, strict=True)):
        nodes = np.asarray(result.drawn.axes[i])
        fine = np.linspace(nodes[0], nodes[-1], 8 * len(nodes))
        values = np.exp(fine)
        visible = np.zeros(len(values), bool)
        for family, lines in result.drawn.densities.items():
            # Of the value, not of its logarithm.
            density = CubicSpline(nodes, np.asarray(lines[i]))(fine) / values
            visible |= density > _SHOWN * density.max()
            axes.plot(values, density, label=family, **_STYLES[family])
        axes.set_xlim(values[visible].min(), values[visible].max())
        axes.set_ylim(0.0, None)
        axes.set_xlabel(_SYMBOLS[name])
        axes.grid(alpha=0.25)
    grid[0].set_ylabel("posterior density")
    grid[-1].legend(fontsize=8, framealpha=0.9)
    figure.suptitle("SIR: marginal posteriors and their approximations", fontsize=10)
    return figure
