"""One method's fit within its budget, with the ELBO of held-out images on the way."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

import amortis
from amortis._types import RandomKey
from amortis.experiments.iterative.methods import Method
from amortis.experiments.iterative.sizes import IterativeSize

_BLOCK = 10
"""Steps between two looks at the clock."""

_PACED = 6
"""Blocks by which it is seen how long a step takes."""

_ROOM = 3.0

_DRAWS = 4
"""Of the ELBO of held-out images on the way; their noise is a few hundredths of a nat."""


@dataclasses.dataclass(frozen=True)
class MethodRun:
    """What is kept of a method's fit.

    Attributes:
        name: of the method.
        steps: of its inference function; zero for one without.
        iterations: optimisation steps within the budget.
        compile_seconds: wall time until its functions were compiled.
        seconds: training time at each evaluation, compilation and evaluations apart.
        held_out: ELBO of the held-out images there, nats per image.
        training: ELBO of the training images at the best of these, nats per image.
    """

    name: str
    steps: int
    iterations: int
    compile_seconds: float
    seconds: tuple[float, ...]
    held_out: tuple[float, ...]
    training: float

    @property
    def best(self) -> int:
        """Which evaluation was the best."""
        return int(np.argmax(self.held_out))


def run_method(
    model: amortis.LatentModel,
    held_out: Float[np.ndarray, "m pixels"],
    method: Method,
    size: IterativeSize,
    *,
    key: RandomKey,
    tell: Callable[[str], None],
) -> tuple[MethodRun, amortis.Fit]:
    """Fit a method until its budget is spent.

    A fit of a few steps goes before, which compiles and tells how long a step takes about.

    Args:
        model: bound to the training images.
        held_out: images that are not fitted.
        method: the method.
        size: the budget.
        key: random key.
        tell: is given a line at every evaluation.

    Returns:
        What is kept, and the fit with the parameters of the best evaluation.

    Raises:
        KeyboardInterrupt: interrupted; half a fit is no result.
    """
    fitted = functools.partial(_fitted, model, method, size, key)
    started = time.perf_counter()
    pace = _Pace()
    first = fitted(_PACED * _BLOCK, pace)
    compiled = time.perf_counter() - started
    # More than there is time for, by what the first blocks took: the clock ends the fit.
    most = max(int(_ROOM * size.seconds / pace.seconds_per_step), size.checkpoints * _BLOCK)
    clock = _Clock(amortis.infer(first, held_out), size, method.name, tell)
    fit = fitted(most, clock)
    if fit.status is amortis.Status.INTERRUPTED and not clock.over:
        raise KeyboardInterrupt
    if not clock.over:  # steps were quicker than they had seemed
        clock.record(fit.variational)
    seconds, values = zip(*clock.records, strict=True)
    best = dataclasses.replace(fit, variational=clock.best)
    elbo = best.elbo(key=jax.random.key(1), draws=2).mean / model.size
    steps = getattr(method.inference, "steps", 0)
    run = MethodRun(method.name, steps, clock.iterations, compiled, seconds, values, elbo)
    return run, best


def _fitted(
    model: amortis.LatentModel,
    method: Method,
    size: IterativeSize,
    key: RandomKey,
    iterations: int,
    monitor: amortis.Monitor | None,
) -> amortis.Fit:
    optimiser = amortis.ConstantRate(
        method.rate, iterations=iterations, batch=size.batch, block=_BLOCK
    )
    return amortis.fit(
        model, key=key, inference=method.inference, optimiser=optimiser, monitor=monitor
    )


def seconds_per_step(fitted: Callable[[amortis.Monitor], amortis.Fit]) -> float:
    """How long a step takes once all is compiled, by a fit with blocks of ten.

    Args:
        fitted: fits, with a monitor.
    """
    pace = _Pace()
    fitted(pace)
    return pace.seconds_per_step


class _Pace:
    """A monitor that times steps once they are compiled."""

    def __init__(self) -> None:
        self._seen: list[float] = []

    def __call__(self, progress: amortis.Progress, current: Callable[[], Any]) -> None:
        self._seen.append(time.perf_counter())

    @property
    def seconds_per_step(self) -> float:
        """The median over the blocks after the first."""
        return float(np.median(np.diff(self._seen))) / _BLOCK


class _Clock:
    """A monitor that evaluates now and then, with a clock that stands still meanwhile."""

    def __init__(
        self,
        held_out: amortis.Fit,
        size: IterativeSize,
        name: str,
        tell: Callable[[str], None],
    ) -> None:
        self._held_out, self._name, self._tell = held_out, name, tell
        self._budget, self._every = size.seconds, size.seconds / size.checkpoints
        self.records: list[tuple[float, float]] = []
        self.best: Any = None
        self._highest = -np.inf
        self.iterations = 0
        self._elbo(held_out.variational)  # compiles
        self._spent, self._resumed = 0.0, time.perf_counter()

    def __call__(self, progress: amortis.Progress, current: Callable[[], Any]) -> None:
        self._spent += time.perf_counter() - self._resumed
        self.iterations += _BLOCK
        if self._spent >= self._every * (len(self.records) + 1):
            self.record(current())
        if self.over:
            raise KeyboardInterrupt  # ends the fit with what it has
        self._resumed = time.perf_counter()

    @property
    def over(self) -> bool:
        """Whether the budget is spent."""
        return self._spent >= self._budget

    def record(self, variational: Any) -> None:
        """Evaluate, and keep the parameters if there were none better."""
        value = self._elbo(variational)
        if value > self._highest:
            self._highest, self.best = value, variational
        self.records.append((self._spent, value))
        self._tell(f"{self._name}: {value:.2f} nats per held-out image at {self._spent:.0f} s")

    def _elbo(self, variational: Any) -> float:
        at = dataclasses.replace(self._held_out, variational=variational)
        return at.elbo(key=jax.random.key(0), draws=_DRAWS).mean / at.model.size
