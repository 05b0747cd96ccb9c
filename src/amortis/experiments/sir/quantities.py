"""The five quantities of the tables, and what is said of each: mean, sd and two quantiles."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

QUANTITIES = ("gamma", "beta", "phi_inv", "T", "R0")
"""γ and β per day, φ⁻¹, the infectious period T = 1/γ in days, and R₀ = β/γ."""

LOGARITHMS = np.array(
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [-1.0, 1.0, 0.0]]
)
"""Of each quantity, as a combination of (log γ, log β, log φ⁻¹)."""

_LOW, _HIGH = 0.05, 0.95


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is said of one quantity; NaN where nothing is known.

    Attributes:
        mean: its mean.
        sd: its standard deviation.
        q5: its 5 % quantile.
        q95: its 95 % quantile.
    """

    mean: float
    sd: float
    q5: float = math.nan
    q95: float = math.nan


Summaries = Mapping[str, Summary]
"""By quantity."""


def of_draws(draws: Mapping[str, Float[np.ndarray, " draws"]]) -> dict[str, Summary]:
    """Summaries of draws.

    Args:
        draws: by quantity, at least two.
    """
    found: dict[str, Summary] = {}
    for name in QUANTITIES:
        values = np.asarray(draws[name], np.float64)
        low, high = (float(q) for q in np.quantile(values, (_LOW, _HIGH)))
        found[name] = Summary(float(values.mean()), float(values.std(ddof=1)), low, high)
    return found


def of_gaussian(
    mean: Float[np.ndarray, " 3"], covariance: Float[np.ndarray, "3 3"]
) -> dict[str, Summary]:
    r"""Summaries where $(\log\gamma, \log\beta, \log\phi^{-1})$ is normal.

    Each quantity is lognormal: $E = e^{m + v/2}$, $sd = E\sqrt{e^v - 1}$.

    Args:
        mean: of the logarithms.
        covariance: of the logarithms.
    """
    found: dict[str, Summary] = {}
    for name, row in zip(QUANTITIES, LOGARITHMS, strict=True):
        center, variance = float(row @ mean), float(row @ covariance @ row)
        middle = math.exp(center + 0.5 * variance)
        low, high = (float(np.exp(center + ndtri(p) * variance**0.5)) for p in (_LOW, _HIGH))
        found[name] = Summary(middle, middle * math.sqrt(math.expm1(variance)), low, high)
    return found


def of_weighted(
    values: Float[np.ndarray, " points"], weights: Float[np.ndarray, " points"]
) -> Summary:
    """Summary of a distribution on points.

    Between points the logarithm is interpolated against the normal quantile, as whose function it
    is nearly a line.

    Args:
        values: the points, positive, in any order.
        weights: their probabilities.
    """
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    mean = float(weights @ values)
    sd = math.sqrt(float(weights @ np.square(values - mean)))
    # The trapezoidal rule up to each point, and Euler and Maclaurin's term for where it is cut off.
    reached = np.cumsum(weights) - 0.5 * weights - np.gradient(weights) / 12.0
    inner = (reached > 0.1 * _LOW) & (reached < 1.0 - 0.1 * _LOW)
    normal, logs = ndtri(reached[inner]), np.log(values[inner])
    low, high = (float(np.exp(np.interp(ndtri(p), normal, logs))) for p in (_LOW, _HIGH))
    return Summary(mean, sd, low, high)
