"""The picture of stochastic optimisation: gaps against evaluations and seconds."""

import math
from collections.abc import Sequence
from typing import Any

from amortis.experiments.gaussian_vi.schedules import SCHEDULES
from amortis.experiments.gaussian_vi.stochastic import NEAR, StochasticResult, StochasticRow
from amortis.report.matplotlib_import import new_figure

_SHADES = ("#9ECAE1", "#3182BD", "#08306B", "#7F7F7F", "#E69F00")
_STYLES: dict[str, dict[str, Any]] = {
    **{s.name: {"color": shade} for s, shade in zip(SCHEDULES, _SHADES, strict=True)},
    "fresh draws, defaults": {"color": "#009E73"},
    "L-BFGS on fixed draws": {"color": "black", "marker": "o", "markersize": 2.5},
}
_LIMITS = (1e-5, 1e3)


def stochastic_figure(result: StochasticResult) -> Any:
    """A row of panels per problem: one for each number of draws, and one against seconds.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    problems = list(dict.fromkeys(row.problem for row in result.rows))
    columns = len(result.size.draws) + 1
    figure = new_figure(3.0 * columns, 2.9 * len(problems) + 0.9)
    grid = figure.subplots(len(problems), columns, sharey=True, squeeze=False)
    for line, problem in zip(grid, problems, strict=True):
        rows = [row for row in result.rows if row.problem == problem]
        for axes, draws in zip(line, result.size.draws, strict=False):
            chosen = [row for row in rows if row.draws in (draws, None)]
            _paths(axes, chosen, "evaluations")
            axes.set_title(f"{problem}, {_count(draws)} per step", fontsize=8)
            axes.set_xlabel("evaluations of the log density", fontsize=8)
        quickest = [
            min(
                (row for row in rows if row.method == method),
                key=lambda row: (row.to_near("seconds"), row.ending),
            )
            for method in dict.fromkeys(row.method for row in rows)
        ]
        _paths(line[-1], quickest, "seconds")
        line[-1].set_title(f"{problem}, quickest number of draws", fontsize=8)
        line[-1].set_xlabel("seconds, without compilation", fontsize=8)
        line[0].set_ylabel("nats below the best ELBO", fontsize=8)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _count(draws: int) -> str:
    return "1 draw" if draws == 1 else f"{draws} draws"


def _paths(axes: Any, rows: Sequence[StochasticRow], against: str) -> None:
    """One line for each seed."""
    for row in rows:
        for i, trace in enumerate(row.traces):
            times = getattr(trace, against)
            gaps = [gap if math.isfinite(gap) else _LIMITS[1] for gap in trace.gaps]
            label = row.method if i == 0 else None
            style = _STYLES[row.method]
            axes.plot(times, gaps, linewidth=0.9, alpha=0.85, label=label, **style)
    axes.axhline(NEAR, color="black", linewidth=0.6, linestyle=":")
    axes.set(xscale="log", yscale="log", ylim=_LIMITS)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)
