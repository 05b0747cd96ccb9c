"""`Capacity`: the sizes of inference function that were tried, and whether one was certified."""

import dataclasses
from typing import Any

from amortis.fitting.estimate import Estimate


@dataclasses.dataclass(frozen=True)
class CapacityStep:
    """One size of inference function.

    Attributes:
        function: the choice, as it is written.
        parameters: number of variational parameters.
        gap: amortization gap, in nats per datum, with its standard error.
        seconds: since growing began, the gap's measurement included.
    """

    function: str
    parameters: int
    gap: Estimate
    seconds: float


@dataclasses.dataclass(frozen=True)
class Capacity:
    """How far the inference function had to grow.

    Attributes:
        tolerance: gap that was asked for, in nats per datum.
        certified: whether the gap is below, by two standard errors.
        refined: whether it ended in a factor per datum, since no function could close the gap.
        steps: the sizes that were tried, in order.
    """

    tolerance: float
    certified: bool
    refined: bool
    steps: tuple[CapacityStep, ...]

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        if self.certified:
            answer = f"certified: the gap is below {self.tolerance:g} nats per datum"
        else:
            answer = (
                f"not certified: no size brought the gap below {self.tolerance:g} nats per datum"
            )
        if self.refined:
            answer += ", after refinement, since no function can close it here"
        lines = [
            f"  {step.gap.mean:9.2g} ± {step.gap.se:.1g} nats per datum with {step.function}, "
            f"{step.parameters} parameters, after {step.seconds:.1f} s"
            for step in self.steps
        ]
        return "\n".join([answer, *lines])
