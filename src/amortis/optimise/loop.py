"""The one loop around all methods: time, history, progress, interruption."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from amortis._types import Parameters, RandomKey
from amortis.optimise.interface import AbstractMethod, Progress, StochasticLoss
from amortis.optimise.restarts import apart
from amortis.optimise.status import Status

Monitor = Callable[[Progress, Callable[[], Parameters]], None]
"""Called after every block with where it stands and a way to get the parameters of the moment."""


@dataclasses.dataclass(frozen=True)
class History:
    """The objective as the optimiser saw it, block by block.

    Attributes:
        seconds: wall time since the start, compilation included.
        objective: minus the loss in nats, total; noisy, and on its own draws.
        draws: draws per evaluation.
        iterations: evaluations or steps.
    """

    seconds: Float[np.ndarray, " blocks"]
    objective: Float[np.ndarray, " blocks"]
    draws: Any
    iterations: Any

    def followed_by(self, other: "History", between: float = 0.0) -> "History":
        """Both end to end.

        Args:
            other: of an optimisation that began where this one ended.
            between: seconds from the end of this one to the start of the other.
        """
        before = self.seconds[-1] + between
        return History(
            seconds=np.concatenate([self.seconds, before + other.seconds]),
            objective=np.concatenate([self.objective, other.objective]),
            draws=np.concatenate([self.draws, other.draws]),
            iterations=np.concatenate([self.iterations, self.iterations[-1] + other.iterations]),
        )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an optimisation returned.

    Attributes:
        parameters: the best parameters, without the axis of restarts.
        status: how it ended.
        history: the objective over time.
    """

    parameters: Parameters
    status: Status
    history: History


def minimise(
    method: AbstractMethod,
    loss: StochasticLoss,
    starts: Parameters,
    *,
    key: RandomKey,
    monitor: Monitor | None = None,
) -> Outcome:
    """Minimise a stochastic loss until the method says how it ended.

    Interruption (Ctrl-C) ends the loop after the block before it, with that state.

    Args:
        method: the optimiser.
        loss: the loss, in nats per datum.
        starts: starting parameters with a leading axis of restarts.
        key: random key of all noise.
        monitor: called after every block.

    Returns:
        The best parameters, how it ended, and the history.
    """
    started = time.perf_counter()
    records: list[tuple[float, Progress]] = []
    state: Any = None
    status: Status | None = None
    try:
        state = method.init(loss, starts, key)
        status = method.terminate(state)
        while status is None:
            state = method.step(loss, state)
            progress = method.progress(loss, state)
            records.append((time.perf_counter() - started, progress))
            if monitor is not None:
                monitor(progress, functools.partial(method.best, loss, state))
            status = method.terminate(state)
    except KeyboardInterrupt:
        if state is None:
            raise
        status = Status.INTERRUPTED
    return Outcome(method.best(loss, state), status, _history(records))


def minimise_in_turn(
    method: AbstractMethod,
    loss: StochasticLoss,
    starts: Parameters,
    *,
    key: RandomKey,
    monitor: Monitor | None = None,
) -> Outcome:
    """Minimise from each start by itself, and keep the best.

    The program of one restart serves all of them, whatever their number. Together they would need
    one of their own, and on few cores it takes longer than all of them in turn: four restarts of
    radon took 15.8 s together, and one 1.3 s.

    Args:
        method: the optimiser.
        loss: the loss, in nats per datum.
        starts: starting parameters with a leading axis of restarts.
        key: random key of all noise, which restarts share.
        monitor: called after every block.

    Returns:
        Of those that did not diverge the outcome with the highest last objective; its history
        begins with the first restart.
    """
    started = time.perf_counter()
    best: Outcome | None = None
    for start in apart(starts):
        before = time.perf_counter() - started
        try:
            found = minimise(method, loss, start, key=key, monitor=monitor)
        except KeyboardInterrupt:
            if best is None:
                raise
            return dataclasses.replace(best, status=Status.INTERRUPTED)
        history = dataclasses.replace(found.history, seconds=found.history.seconds + before)
        found = dataclasses.replace(found, history=history)
        if best is None or _rank(found) > _rank(best):
            best = found
        if found.status is Status.INTERRUPTED:
            return dataclasses.replace(best, status=Status.INTERRUPTED)
    assert best is not None  # there is at least one start
    return best


def _rank(outcome: Outcome) -> tuple[bool, float]:
    """Whether it is sound, and its last objective; minus infinity where there is none."""
    objective = outcome.history.objective
    last = float(objective[-1]) if len(objective) else -np.inf
    return outcome.status is not Status.DIVERGED, last if np.isfinite(last) else -np.inf


def _history(records: list[tuple[float, Progress]]) -> History:
    return History(
        seconds=np.array([seconds for seconds, _ in records]),
        objective=np.array([progress.objective for _, progress in records]),
        draws=np.array([progress.draws for _, progress in records], int),
        iterations=np.array([progress.iterations for _, progress in records], int),
    )
