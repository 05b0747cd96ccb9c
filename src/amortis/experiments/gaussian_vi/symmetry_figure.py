"""The pictures of symmetry: targets with what was fitted to them, and how far off it is."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amortis.experiments.gaussian_vi.location_fit import BASES
from amortis.experiments.gaussian_vi.shapes import Shape, shapes
from amortis.experiments.gaussian_vi.symmetry import BAR, SymmetryResult, SymmetryRow
from amortis.report.matplotlib_import import new_figure

_SHADES = {"Gaussian": "#0072B2", "Laplace": "#D55E00", "Student t": "#009E73"}
_LIBRARY, _COLUMNS, _REACH, _FLOOR = "#000000", 5, 3.2, 1e-11
_MARKS = {"Gaussian": "o", "Laplace": "s", "Student t": "^"}


def fits_figure(result: SymmetryResult) -> Any:
    """One panel per target: its density in gray, the fitted q's, and where they are centered.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    shown = [s for s in shapes() if any(row.target == s.name for row in result.rows)]
    columns = min(_COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    figure = new_figure(2.5 * columns, 2.35 * lines + 0.5)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, shape in zip(grid, shown, strict=False):
        rows = [row for row in result.rows if row.target == shape.name]
        (_line if len(shape.mean) == 1 else _plane)(axes, shape, rows)
        kind = "symmetric" if shape.symmetric else "skewed"
        axes.set_title(f"{shape.name} ({kind})", fontsize=8)
        axes.tick_params(labelsize=7)
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return figure


def _line(axes: Any, shape: Shape, rows: list[SymmetryRow]) -> None:
    (mean,), (spread,) = shape.mean, shape.spread
    where = np.linspace(mean - _REACH * spread, mean + _REACH * spread, 500)
    density = np.exp(_on_host(shape, where[:, None]))
    axes.fill_between(where, density, color="0.85", label="target")
    axes.axvline(mean, color="0.4", linewidth=0.8, linestyle=":", label="its mean or center")
    for row in rows:
        if row.q in BASES and row.location:
            (location,), (scale,) = row.location, row.scale
            base = np.asarray(BASES[row.q](jnp.asarray((where - location) / scale)))
            axes.plot(where, np.exp(base) / scale, color=_SHADES[row.q], linewidth=1.1, label=row.q)
    axes.set_yticks([])
    axes.set_ylim(bottom=0.0)


def _plane(axes: Any, shape: Shape, rows: list[SymmetryRow]) -> None:
    """Contours of a target in two dimensions, and of the fitted q's at one scale."""
    sides = [
        np.linspace(m - 2 * s, m + 2 * s, 80) for m, s in zip(shape.mean, shape.spread, strict=True)
    ]
    grid = np.stack(np.meshgrid(*sides, indexing="xy"), axis=-1)
    density = np.exp(_on_host(shape, grid.reshape(-1, 2))).reshape(grid.shape[:-1])
    levels = density.max() * np.array([0.03, 0.1, 0.3, 0.6, 1.0])
    axes.contourf(*sides, density, levels=levels, cmap="Greys", alpha=0.5)
    angle = np.linspace(0, 2 * np.pi, 100)
    for row in rows:
        if row.q in BASES:
            turn = np.stack([np.cos(angle), np.sin(angle)])
            ring = np.asarray(row.location)[:, None] + np.asarray(row.scale)[:, None] * turn
            axes.plot(*ring, color=_SHADES[row.q], linewidth=1.1)
            axes.plot(*row.location, marker="+", color=_SHADES[row.q], markersize=7)


def _on_host(shape: Shape, points: np.ndarray) -> np.ndarray:
    every = jax.vmap(shape.log_density)(jnp.asarray(points, jnp.result_type(float)))
    return np.asarray(every, np.float64)


def errors_figure(result: SymmetryResult) -> Any:
    """Distance of every location from the mean, on a logarithmic axis.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    targets = list(dict.fromkeys(row.target for row in result.rows))
    symmetric = {row.target: row.symmetric for row in result.rows}
    figure = new_figure(7.2, 0.9 + 0.34 * len(targets))
    axes = figure.add_subplot()
    seen: set[str] = set()
    for row in result.rows:
        if math.isnan(row.error):
            continue
        ours = row.q not in BASES
        name = "Gaussian, amortis.fit (32 bit)" if ours else row.q
        style = {"marker": "D" if ours else _MARKS[row.q], "markersize": 6}
        style |= {"color": _LIBRARY if ours else _SHADES[row.q], "linestyle": "none"}
        style |= {"markerfacecolor": "none"} if ours else {}
        label = None if name in seen else name
        seen.add(name)
        axes.plot(max(row.error, _FLOOR), targets.index(row.target), label=label, **style)
    axes.axvline(BAR, color="black", linewidth=0.8, linestyle=":")
    axes.text(BAR, -0.42, " counts as recovered to the left", fontsize=6, va="top", ha="left")
    skewed = [i for i, name in enumerate(targets) if not symmetric[name]]
    if skewed:
        axes.axhspan(skewed[0] - 0.5, len(targets) - 0.5, color="0.93", zorder=0)
        axes.text(_FLOOR, skewed[-1] + 0.3, " skewed", fontsize=7, va="center")
    axes.set_yticks(range(len(targets)), targets, fontsize=8)
    axes.set_ylim(len(targets) - 0.5, -0.5)
    axes.set(xscale="log", xlim=(_FLOOR / 2, 3.0))
    axes.set_xlabel("location minus mean or center (sds of the target)")
    axes.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside upper center", ncols=4, fontsize=7, frameon=False)
    return figure
