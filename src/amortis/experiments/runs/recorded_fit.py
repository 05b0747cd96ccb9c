"""One fit, with its path."""

import math
import time
from collections.abc import Callable

import amortis
from amortis._types import RandomKey
from amortis.experiments.runs.arm import Arm
from amortis.experiments.runs.task import RunPath, RunResult
from amortis.experiments.settings.records import InferenceFunction


def recorded_fit(
    model: amortis.LatentModel,
    inference: InferenceFunction | None,
    arm: Arm,
    *,
    key: RandomKey,
    monitor: amortis.Monitor | None = None,
) -> tuple[amortis.Fit, float]:
    """Fit by an arm's optimiser, all else by default.

    Args:
        model: bound model.
        inference: inference function; None for the library's own choice.
        arm: the optimiser.
        key: random key.
        monitor: called after every block.

    Returns:
        The fit and its wall time in seconds.

    Raises:
        KeyboardInterrupt: the fit was interrupted.
    """
    started = time.perf_counter()
    fit = amortis.fit(
        model, key=key, inference=inference, optimiser=arm.optimiser(), monitor=monitor
    )
    if fit.status is amortis.Status.INTERRUPTED:
        raise KeyboardInterrupt
    return fit, time.perf_counter() - started


def recorded(
    fit: amortis.Fit,
    seconds: float,
    loss: float,
    loss_of: Callable[[float], float],
    **values: float,
) -> RunResult:
    """What is kept of a fit.

    Args:
        fit: the fit.
        seconds: its wall time.
        loss: at the end, in nats, total.
        loss_of: turns an ELBO of the fit's history into the task's loss, both in nats, total.
        values: other numbers to keep.
    """
    history = fit.history
    failed = fit.status is amortis.Status.DIVERGED
    return RunResult(
        status=fit.status.name,
        loss=math.nan if failed else float(loss),  # NumPy's numbers do not go into JSON
        seconds=seconds,
        path=RunPath(
            iterations=tuple(int(i) for i in history.iterations),
            seconds=tuple(float(s) for s in history.seconds),
            losses=tuple(loss_of(float(elbo)) for elbo in history.objective),
        ),
        values={name: float(value) for name, value in values.items()},
    )
