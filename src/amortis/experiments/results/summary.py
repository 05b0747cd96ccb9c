"""One row per method and arm: what its seeds gave, beside what was printed."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from amortis.experiments.results.agreement import (
    Agreement,
    agreement,
    median_of,
    with_tolerance,
)
from amortis.experiments.runs import (
    Arm,
    Campaign,
    RunName,
    RunResult,
    Task,
    code_rule,
    reached_for_good,
    target_of,
)
from amortis.experiments.runs.convergence import GOAL, TOLERANCES
from amortis.experiments.settings import Expected, Method

Runs = Mapping[RunName, RunResult]

_SMOOTHED = 10
"""Blocks of the paper's optimiser that our rule averages: 100 steps of a noisy loss."""

_CLOSED_FORM = 1e-4
"""Nats per datum that a fit may be off its closed form and agree with it."""


@dataclasses.dataclass(frozen=True)
class Convergence:
    """How fast one run was.

    Attributes:
        code: iterations to 50, 10 and 1 % of the target by the rule of the authors' code.
        goal_iterations: iterations from which on it stays within 0.01 nats per datum of the best
            known loss.
        goal_seconds: the same in seconds of wall time.
        succeeded: whether its loss ends at most 1 % above the target.
    """

    code: tuple[float, float, float]
    goal_iterations: float
    goal_seconds: float
    succeeded: bool


@dataclasses.dataclass(frozen=True)
class SummaryRow:
    """A method by an arm, over its seeds.

    Attributes:
        method: what was fitted.
        arm: by which optimiser.
        expected: the reference, if there is one.
        losses: at the end, by seed, in nats, total; NaN for a failed run.
        convergence: by seed.
        seconds: median wall time of a run.
        agreement: of the losses with the reference.
    """

    method: Method
    arm: Arm
    expected: Expected | None
    losses: tuple[float, ...]
    convergence: tuple[Convergence, ...]
    seconds: float
    agreement: Agreement

    @property
    def best(self) -> float:
        """Lowest loss; NaN if all runs failed."""
        return min(self._finite, default=math.nan)

    @property
    def median(self) -> float:
        """Median loss of the runs that did not fail."""
        return float(np.median(self._finite)) if self._finite else math.nan

    @property
    def worst(self) -> float:
        """Highest loss of the runs that did not fail."""
        return max(self._finite, default=math.nan)

    @property
    def failed(self) -> int:
        """Runs that diverged."""
        return len(self.losses) - len(self._finite)

    @property
    def succeeded(self) -> int:
        """Runs that end at most 1 % above the target."""
        return sum(run.succeeded for run in self.convergence)

    @property
    def iterations(self) -> tuple[float, float, float]:
        """Medians of the iterations to 50, 10 and 1 %; infinity where most never arrive."""
        first, second, third = zip(*(run.code for run in self.convergence), strict=True)
        return median_of(first), median_of(second), median_of(third)

    @property
    def goal_iterations(self) -> float:
        """Median iterations by our rule."""
        return median_of([run.goal_iterations for run in self.convergence])

    @property
    def goal_seconds(self) -> float:
        """Median seconds by our rule."""
        return median_of([run.goal_seconds for run in self.convergence])

    @property
    def _finite(self) -> list[float]:
        return [loss for loss in self.losses if math.isfinite(loss)]


@dataclasses.dataclass(frozen=True)
class Summary:
    """All rows of an experiment at a setting.

    Attributes:
        campaign: what was run.
        remark: on data and loss, from the task.
        target: of the code's rule, by method name, in nats, total; NaN where there is no F-VI.
        best: best known loss of each method's data set, by method name, in nats, total.
        rows_of: number of data, by method name.
        rows: in the order of the settings.
    """

    campaign: Campaign
    remark: str
    target: Mapping[str, float]
    best: Mapping[str, float]
    rows_of: Mapping[str, int]
    rows: tuple[SummaryRow, ...]


def summarise(campaign: Campaign, task: Task, runs: Runs) -> Summary:
    """Bring the runs of a campaign together.

    Args:
        campaign: what was run.
        task: the experiment at this setting.
        runs: all of its runs.
    """
    target, best = targets(runs), best_known(task, runs)
    groups: dict[tuple[str, str], list[RunName]] = {}
    for name in runs:
        groups.setdefault((name.method.name, name.arm.name), []).append(name)
    order = {method.name: i for i, method in enumerate(campaign.settings.methods)}
    rows = [
        _row(campaign, task, {name: runs[name] for name in names}, target, best)
        for names in groups.values()
    ]
    rows.sort(key=lambda row: order[row.method.name])
    return Summary(
        campaign=campaign,
        remark=task.remark,
        target=target,
        best=best,
        rows_of={method.name: task.rows(method) for method in campaign.settings.methods},
        rows=tuple(rows),
    )


def best_known(task: Task, runs: Runs) -> dict[str, float]:
    """The lowest loss known for each method's data set, by method name, in nats, total."""
    found: dict[str, float] = {}
    for name, result in runs.items():
        closed = task.best_loss(name.method)
        values = [found.get(name.method.data, math.inf), result.loss]
        values += [] if closed is None else [closed]
        found[name.method.data] = min(value for value in values if not math.isnan(value))
    return {name.method.name: found[name.method.data] for name in runs}


def targets(runs: Runs) -> dict[str, float]:
    """What the code's rule waits for, by method name, in nats, total.

    F-VI's own late mean, fitted to the same data by the paper's optimiser at the printed rate; the
    end of our F-VI where that is not run.
    """
    late: dict[tuple[str, bool], list[float]] = {}
    first: dict[str, float] = {}
    for name, result in runs.items():
        if name.method.function != "table":
            continue
        data, rate = name.method.data, name.arm.rate
        if rate is None or first.setdefault(data, rate) == rate:
            value = result.loss if rate is None else target_of(result.path.losses)
            late.setdefault((data, rate is None), []).append(value)

    def target(data: str) -> float:
        values = late.get((data, False), late.get((data, True), []))
        finite = [value for value in values if math.isfinite(value)]
        return float(np.median(finite)) if finite else math.nan

    return {name.method.name: target(name.method.data) for name in runs}


def _row(
    campaign: Campaign,
    task: Task,
    runs: Runs,
    target: Mapping[str, float],
    best: Mapping[str, float],
) -> SummaryRow:
    first = next(iter(runs))
    method, arm = first.method, first.arm
    slack = GOAL * task.rows(method)
    convergence = [
        _convergence(arm, result, target[method.name], best[method.name], slack)
        for result in runs.values()
    ]
    rates = campaign.plan.rates[method.name]
    # What was printed is for the authors' data.
    printed = campaign.plan.expected.get(method.name) if task.printed else None
    expected = printed if arm.ours or arm.rate == rates[0] else None
    if printed is None:
        closed = task.best_loss(method)
        rounding = _CLOSED_FORM * task.rows(method)
        expected = None if closed is None else Expected(closed, rounding=rounding)
    losses = tuple(result.loss for result in runs.values())
    succeeded = sum(run.succeeded for run in convergence) / len(convergence)
    expected = with_tolerance(expected, losses, task.rows(method), succeeded=succeeded)
    return SummaryRow(
        method=method,
        arm=arm,
        expected=expected,
        losses=losses,
        convergence=tuple(convergence),
        seconds=float(np.median([result.seconds for result in runs.values()])),
        agreement=agreement(
            expected,
            losses,
            succeeded=succeeded,
            # Closed forms are of linear functions where networks can do better.
            lowest=None if method.function == "mlp" else task.best_loss(method),
        ),
    )


def _convergence(
    arm: Arm, result: RunResult, target: float, best: float, slack: float
) -> Convergence:
    path, window = result.path, 1 if arm.ours else _SMOOTHED
    first, second, third = (
        code_rule(path.iterations, path.losses, target, tolerance) for tolerance in TOLERANCES
    )
    return Convergence(
        code=(first, second, third),
        goal_iterations=reached_for_good(path.iterations, path.losses, best, slack, window),
        goal_seconds=reached_for_good(path.seconds, path.losses, best, slack, window),
        succeeded=bool(result.loss - target <= TOLERANCES[-1] * abs(target)),
    )
