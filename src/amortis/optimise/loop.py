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


def _history(records: list[tuple[float, Progress]]) -> History:
    return History(
        seconds=np.array([seconds for seconds, _ in records]),
        objective=np.array([progress.objective for _, progress in records]),
        draws=np.array([progress.draws for _, progress in records], int),
        iterations=np.array([progress.iterations for _, progress in records], int),
    )
