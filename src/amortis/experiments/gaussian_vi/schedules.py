r"""Ways to step: Robbins and Monro's, constant rates, Adam, and L-BFGS on fixed draws."""

import dataclasses
import functools
import math

import optax

import amortis

OFFSET = 10.0
r"""b of $\rho_t = a(b + t)^{-\kappa}$."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    r"""A stochastic gradient method up to its rate.

    Attributes:
        name: what it is called.
        kappa: $\kappa$ of Robbins and Monro's $\rho_t = \eta_0((b + t)/b)^{-\kappa}$, that is
            $a = \eta_0b^\kappa$; zero for a constant rate.
        adam: whether the gradient is scaled as Adam does.
    """

    name: str
    kappa: float = 0.0
    adam: bool = False

    def method(
        self, rate: float, *, draws: int, iterations: int, block: int
    ) -> amortis.ConstantRate:
        r"""The method at a first rate.

        Args:
            rate: $\eta_0$, per nat per datum; of Adam, its step.
            draws: independent draws per step.
            iterations: steps.
            block: steps between two looks.
        """
        return amortis.ConstantRate(
            rate,
            iterations=iterations,
            draws=draws,
            block=block,
            optimizer=None if self.adam else _direction(self.kappa),
        )


@functools.cache
def _direction(kappa: float) -> optax.GradientTransformation:
    """Made once for each power, since a transformation is compiled into the step."""
    if not kappa:
        return optax.identity()
    return optax.scale_by_schedule(lambda t: (1.0 + t / OFFSET) ** -kappa)


SCHEDULES = (
    Schedule("Robbins-Monro, κ = 0.5", 0.5),
    Schedule("Robbins-Monro, κ = 0.75", 0.75),
    Schedule("Robbins-Monro, κ = 1", 1.0),
    Schedule("SGD, constant rate"),
    Schedule("Adam, constant rate", adam=True),
)


def own_methods(budget: int) -> dict[str, amortis.FixedDraws | amortis.FreshDraws]:
    """The library's two methods, with nothing chosen but where the second has to end.

    Args:
        budget: evaluations of the log density that fresh draws may take, two in a step.
    """
    return {
        "L-BFGS on fixed draws": amortis.FixedDraws(),
        "fresh draws, defaults": amortis.FreshDraws(iterations=budget // 2),
    }


def marks(first: int, last: int, count: int) -> list[int]:
    """Numbers of evaluations at which to look, evenly spread on a logarithmic scale."""
    ratio = math.log(last / first)
    return sorted({round(first * math.exp(ratio * i / (count - 1))) for i in range(count)})
