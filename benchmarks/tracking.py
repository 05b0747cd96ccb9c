"""Follows a fit and says when it came, and stayed, close to the best that is known."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import amortis

TOLERANCE = 0.01
"""Nats per datum short of the best known ELBO that count as there."""

_SPACING = 1.05
"""Between two looks the time grows at least by this factor: evaluating every block costs more."""


@dataclasses.dataclass(frozen=True)
class Look:
    """One evaluation: seconds, iterations, and nats per datum short of the reference."""

    seconds: float
    iterations: int
    short: float


class Track:
    """A monitor whose clock stands still while it evaluates; it ends a fit that is there.

    Args:
        short: nats per datum that the ELBO of given parameters is short of the reference.
        limit: seconds after which the fit is interrupted.
        patience: looks in a row within the tolerance after which it is interrupted as well; None to
            let the fit's own rule end it.
    """

    def __init__(
        self, short: Callable[[Any], float], limit: float, patience: int | None = None
    ) -> None:
        self._short, self._limit, self._patience = short, limit, patience
        self.looks: list[Look] = []
        self._paused, self._last, self._done = 0.0, 0.0, False
        self._started = time.perf_counter()

    def __call__(self, progress: amortis.Progress, current: Callable[[], Any]) -> None:
        now = time.perf_counter()
        seconds = now - self._started - self._paused
        if seconds >= self._limit:
            self._done = True
        elif seconds < _SPACING * self._last:
            return
        if not self.looks or seconds > self.looks[-1].seconds:
            self._look(seconds, progress.iterations, current())
        self._last = seconds
        self._paused += time.perf_counter() - now
        if self._done or self._stayed():
            self._done = True
            raise KeyboardInterrupt  # `fit` returns the state of the moment

    def finish(self, parameters: Any) -> None:
        """Evaluate what the fit has returned, at the time of now."""
        seconds = time.perf_counter() - self._started - self._paused
        self._look(seconds, self.looks[-1].iterations if self.looks else 0, parameters)

    def _look(self, seconds: float, iterations: int, parameters: Any) -> None:
        short = self._short(parameters)
        self.looks.append(Look(seconds, iterations, short if math.isfinite(short) else math.inf))

    def _stayed(self) -> bool:
        if self._patience is None or len(self.looks) < self._patience:
            return False
        return all(look.short <= TOLERANCE for look in self.looks[-self._patience :])

    @property
    def reached(self) -> Look | None:
        """The first look from which on all are within the tolerance; None if the last is not."""
        return first_of_the_last_run([look.short <= TOLERANCE for look in self.looks], self.looks)


def first_of_the_last_run(there: list[bool], looks: list[Look]) -> Look | None:
    """The look with which the run of true values at the end begins; None if there is no such run.

    Args:
        there: whether each look is within the tolerance.
        looks: the looks.
    """
    found = None
    for is_there, look in zip(reversed(there), reversed(looks), strict=True):
        if not is_there:
            break
        found = look
    return found
