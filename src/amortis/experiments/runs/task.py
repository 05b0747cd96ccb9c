"""What an experiment offers to the campaign, and what a run leaves."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from amortis import Monitor
from amortis._types import RandomKey
from amortis.experiments.runs.arm import Arm
from amortis.experiments.settings import Method


@dataclasses.dataclass(frozen=True)
class RunPath:
    """The loss over time, block by block, as the optimiser saw it.

    Attributes:
        iterations: steps (or evaluations) done at the end of each block.
        seconds: wall time since the start of the fit, compilation included where there was one.
        losses: in nats, total, in the convention of the task.
    """

    iterations: tuple[int, ...]
    seconds: tuple[float, ...]
    losses: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What is kept of one fit.

    Attributes:
        status: name of the fit's status.
        loss: at the end, in nats, total, in the convention of the task; exact where the
            experiment has a closed form, else measured on fresh draws; NaN after a failure.
        seconds: wall time of the fit.
        path: the loss over time.
        values: other numbers of the experiment, such as a mean squared error.
    """

    status: str
    loss: float
    seconds: float
    path: RunPath
    values: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])


@runtime_checkable
class Task(Protocol):
    """An experiment at one setting: data are read and models are bound, once for all runs."""

    @property
    def digest(self) -> str:
        """Stands for the data: results on other data are not taken over."""
        ...

    @property
    def remark(self) -> str:
        """Which data these are, and what the loss leaves out; a sentence or two."""
        ...

    @property
    def printed(self) -> bool:
        """Whether printed losses are for these data, or are made comparable with them."""
        ...

    def rows(self, method: Method) -> int:
        """Number of data that a method is fitted to, for nats per datum."""
        ...

    def best_loss(self, method: Method) -> float | None:
        """The lowest loss that is possible for a method, by closed form; None if not known."""
        ...

    def run(
        self, method: Method, arm: Arm, *, key: RandomKey, monitor: Monitor | None
    ) -> RunResult:
        """Fit a method once.

        Args:
            method: what to fit.
            arm: by which optimiser.
            key: random key; the same key gives the same result, times aside.
            monitor: to be called after every block.

        Raises:
            KeyboardInterrupt: the fit was interrupted; half a fit is no result.
        """
        ...
