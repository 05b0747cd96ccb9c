"""`Estimate`: a number that was sampled, with its standard error."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A Monte Carlo estimate.

    Attributes:
        mean: the estimate.
        se: its standard error, in the same unit; NaN where one draw says nothing about it.
        unit: what it is measured in.
    """

    mean: float
    se: float
    unit: str = "nats, total"

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.se:.2f} {self.unit}"
