"""The two ways in which every method is fitted: ours, and the paper's."""

import dataclasses

import amortis
from amortis.experiments.settings import Method, Plan, ScheduleName


@dataclasses.dataclass(frozen=True)
class Arm:
    """An optimiser under a name.

    Attributes:
        rate: Adam's constant learning rate; None for `amortis.fit` with its defaults.
        draws: independent draws per step; None for the defaults.
        iterations: steps; None for the defaults.
    """

    rate: float | None = None
    draws: int | None = None
    iterations: int | None = None

    @property
    def ours(self) -> bool:
        """Whether the library chooses."""
        return self.rate is None

    @property
    def name(self) -> str:
        """`ours`, or `Adam 0.001`."""
        return "ours" if self.rate is None else f"Adam {self.rate:g}"

    def optimiser(self) -> amortis.ConstantRate | None:
        """What `amortis.fit` is given."""
        if self.rate is None or self.draws is None or self.iterations is None:
            return None
        return amortis.ConstantRate(self.rate, iterations=self.iterations, draws=self.draws)


def arms_of(method: Method, plan: Plan, schedule: ScheduleName) -> tuple[Arm, ...]:
    """Our arm, then the paper's optimiser at each of its rates, the published one first.

    Args:
        method: what is fitted.
        plan: the setting's plan.
        schedule: how long the paper's optimiser runs.
    """
    rates = plan.rates[method.name]
    if not rates:
        return (Arm(),)
    chosen = plan.schedules[schedule]
    iterations = chosen.iterations_of.get(method.name, chosen.iterations)
    return (Arm(), *(Arm(rate, chosen.draws, iterations) for rate in rates))
