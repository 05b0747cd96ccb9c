r"""Bands that the empirical distribution function of uniform ranks stays within, all at once."""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

_BISECTIONS = 12
"""Halvings of the range of pointwise levels on the log scale, which is a factor of at most K."""


@dataclasses.dataclass(frozen=True)
class EcdfBand:
    """A simultaneous band.

    Attributes:
        lower: least share of ranks up to each point that is inside, shape (K,).
        upper: largest share, shape (K,).
        pointwise: level of the intervals at each point alone.
        probability: of uniform ranks to stay within the band at all points.
    """

    lower: Float[np.ndarray, " points"]
    upper: Float[np.ndarray, " points"]
    pointwise: float
    probability: float


@functools.lru_cache(maxsize=32)
def ecdf_band(size: int, points: tuple[float, ...], level: float = 0.95) -> EcdfBand:
    r"""A band that the distribution function of uniform values stays within, exactly.

    At a point u the number of M independent uniform values up to u is binomial. The band has the
    central interval of equal pointwise level $1 - \gamma$ at every point, with the largest
    $\gamma$ that leaves the probability to be inside at all points at `level` or above. That
    probability follows the numbers $N_1 \le N_2 \le \dots$ up to each point, which are a Markov
    chain: $N_{k+1} - N_k$ given $N_k$ is binomial of $M - N_k$ trials with probability
    $(u_{k+1} - u_k) / (1 - u_k)$. Nothing is simulated. Cost: K times the square of a band's width
    in counts, which grows as $\sqrt{M}$.

    Args:
        size: number M of values.
        points: increasing points in (0, 1). For ranks among L draws they have to be multiples of
            1 / (L + 1), where the distribution of (rank + 1) / (L + 1) is exactly uniform.
        level: probability to be inside everywhere.

    Returns:
        The band; its probability is at least `level`, and as near as counts allow.

    References:
        Säilynoja, Bürkner & Vehtari, *Graphical test for discrete uniformity and its applications
        in goodness-of-fit evaluation and multiple sample comparison* (2022), section 2.3.
    """
    at = np.asarray(points, np.float64)
    # By Bonferroni's inequality the widest intervals that are needed; one alone is the narrowest.
    widest, narrowest = (1.0 - level) / len(at), 1.0 - level
    best = _counts(size, at, widest)
    inside = probability_inside(size, at, *best)
    low, high = math.log(widest), math.log(narrowest)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        counts = _counts(size, at, math.exp(middle))
        found = probability_inside(size, at, *counts)
        if found >= level:
            low, best, inside = middle, counts, found
        else:
            high = middle
    return EcdfBand(best[0] / size, best[1] / size, 1.0 - math.exp(low), inside)


def _counts(
    size: int, at: Float[np.ndarray, " points"], gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Central intervals of the counts at each point alone, of probability at least 1 - gamma."""
    # scipy.stats takes longer to import than all of amortis: only who needs it waits for it.
    from scipy.stats import binom

    return binom.ppf(0.5 * gamma, size, at), binom.ppf(1.0 - 0.5 * gamma, size, at)


def probability_inside(
    size: int, at: Float[np.ndarray, " points"], lower: np.ndarray, upper: np.ndarray
) -> float:
    """Probability that counts of uniform values stay within bounds at all points, exactly.

    Args:
        size: number of values.
        at: increasing points in (0, 1).
        lower: least count at each point.
        upper: largest count.
    """
    log_factorial = gammaln(np.arange(size + 1) + 1.0)
    before, probability, last = np.zeros(1, int), np.ones(1), 0.0
    for point, low, high in zip(at, lower.astype(int), upper.astype(int), strict=True):
        after = np.arange(low, high + 1)
        share = (point - last) / (1.0 - last)
        step = after[:, None] - before
        possible = step >= 0
        taken = np.where(possible, step, 0)
        left = size - before  # values that are above the last point
        # A count may pass the upper bound of a later point; those steps are not in `after`.
        rest = np.maximum(left - taken, 0)
        log_mass = (
            log_factorial[left]
            - log_factorial[taken]
            - log_factorial[rest]
            + taken * math.log(share)
            + rest * math.log1p(-share)
        )
        probability = np.where(possible, np.exp(log_mass), 0.0) @ probability
        before, last = after, float(point)
    return float(probability.sum())
