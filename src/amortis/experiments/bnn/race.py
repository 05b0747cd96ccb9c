"""Who is where first: epochs and seconds to an error, and the lines of the comparison."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from amortis.experiments.bnn.one_fit import BnnRun
from amortis.experiments.bnn.settings import BnnSchedule, BnnSettings
from amortis.experiments.comparison import Comparison

FACTORIZED = "F-VI"
"""Whose final error and time the others are measured by."""

_BAR = 0.8
"""Share of F-VI's time in which amortized fits are to reach its final error."""


def reached(times: Float[np.ndarray, " t"], errors: Float[np.ndarray, " t"], goal: float) -> float:
    """The first evaluation at which an error is at the goal or below.

    Args:
        times: of the evaluations, in epochs or seconds.
        errors: mean squared errors.
        goal: the error to reach.

    Returns:
        Its time; NaN if there is none.
    """
    there = np.flatnonzero(np.asarray(errors) <= goal)
    return float(times[there[0]]) if there.size else math.nan


def comparisons(
    settings: BnnSettings, schedule: BnnSchedule, runs: Mapping[str, Sequence[BnnRun]]
) -> tuple[Comparison, ...]:
    """Errors of all methods, then how soon they were there; medians over the seeds.

    Args:
        settings: of the experiment.
        schedule: which schedule.
        runs: fits of all seeds by method.

    Returns:
        The lines of the comparison; NaN for what is not known or not reached.
    """
    return tuple(
        line
        for name, each in runs.items()
        for line in _lines(settings, schedule, name, each, runs.get(FACTORIZED, ()))
    )


def _lines(
    settings: BnnSettings,
    schedule: BnnSchedule,
    name: str,
    runs: Sequence[BnnRun],
    factorized: Sequence[BnnRun],
) -> Iterator[Comparison]:
    method = settings.methods[name]
    spent = _median(runs, lambda run: float(run.seconds[-1]))
    note = "; ".join(sorted({run.status for run in runs}))

    def line(quantity: str, reference: float, result: float, note: str = "") -> Comparison:
        return Comparison(name, quantity, reference, result, spent, note)

    mse = method.mse if schedule.printed else math.nan
    yield line("MSE", mse, _median(runs, lambda run: float(run.training_mse[-1])), note)
    if schedule.held_out:
        held_out = _median(runs, lambda run: float(run.held_out_mse[-1]))
        without = "no function for new images" if math.isnan(held_out) else ""
        yield line("MSE, held out", math.nan, held_out, without)
    epochs = method.epochs if schedule.printed else math.nan
    to_goal = _median(runs, lambda run: reached(run.epochs, run.training_mse, settings.goal))
    yield line(f"epochs to MSE {settings.goal:g}", epochs, to_goal, _never(to_goal))
    compiled = _median(runs, lambda run: run.compile_seconds)
    yield line("seconds of compilation and a first block", math.nan, compiled)
    if name == FACTORIZED or not factorized:
        return
    pairs = list(zip(runs, factorized, strict=False))
    by_epochs = [_share(a, b, lambda run: run.epochs) for a, b in pairs]
    by_seconds = [_share(a, b, lambda run: run.seconds) for a, b in pairs]
    for quantity, shares in (("epochs", by_epochs), ("time", by_seconds)):
        share = float(np.median(shares))
        bar = f"bar: at most {_BAR:g}" if method.width > 1 and quantity == "time" else ""
        yield line(
            f"{quantity} to F-VI's last MSE, of F-VI's", math.nan, share, _never(share) or bar
        )


def _share(run: BnnRun, factorized: BnnRun, times: Callable[[BnnRun], np.ndarray]) -> float:
    """Time to F-VI's final error, of the time in which F-VI was first there."""
    goal = float(factorized.training_mse[-1])
    whole = reached(times(factorized), factorized.training_mse, goal)
    return reached(times(run), run.training_mse, goal) / whole


def _median(runs: Sequence[BnnRun], value: Callable[[BnnRun], float]) -> float:
    """Over the seeds; NaN as soon as one of them never gets there."""
    return float(np.median([value(run) for run in runs]))


def _never(value: float) -> str:
    return "never" if math.isnan(value) else ""
