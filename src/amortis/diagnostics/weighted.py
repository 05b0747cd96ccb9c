"""Moments of the globals with q corrected by importance weights."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

EVEN, LARGEST = 0.05, 2.0
"""Variance of log weights, in nats squared, at which q is some hundredths of a nat from the
posterior, and the largest of them, in nats above their mean: a posterior with heavier tails than q
has few draws that tell of it, and those weigh much."""


@dataclasses.dataclass(frozen=True)
class Weighted:
    """Moments of the unconstrained globals under self-normalized importance weights.

    Attributes:
        means: of each coordinate.
        errors: standard errors of the means.
        sds: of each coordinate.
        effective: effective number of draws.
        variance: of the log weights under q, in nats squared: about twice the divergence of q where
            it is small.
        largest: the largest log weight, in nats above their mean.
        outside: share of the draws at which the log joint is not finite.
    """

    means: Float[np.ndarray, " d"]
    errors: Float[np.ndarray, " d"]
    sds: Float[np.ndarray, " d"]
    effective: float
    variance: float
    largest: float
    outside: float

    @property
    def even(self) -> bool:
        """Whether no log weight is far from the others, whatever the shape of their tail."""
        return self.variance <= EVEN and self.largest <= LARGEST


def weighted_moments(
    values: Float[np.ndarray, "draws d"], log_weights: Float[np.ndarray, " draws"]
) -> Weighted | None:
    """Correct the moments of draws of q by their importance weights.

    Weights are truncated at their mean times the root of their number, which leaves the estimates
    consistent and bounds what a single draw can do.

    Args:
        values: draws of q.
        log_weights: log importance ratios, in nats; constants do not matter.

    Returns:
        The moments; None where no weight is finite.

    References:
        Ionides, *Truncated importance sampling* (2008).
    """
    usable = np.isfinite(log_weights)
    if not usable.any():
        return None
    logs = log_weights[usable]
    weights = np.where(usable, np.exp(log_weights - log_weights[usable].max()), 0.0)
    weights = np.minimum(weights, weights.mean() * math.sqrt(len(weights)))
    weights = weights / weights.sum()
    means = weights @ values
    apart = values - means
    return Weighted(
        means=means,
        errors=np.sqrt(np.square(weights) @ np.square(apart)),
        sds=np.sqrt(weights @ np.square(apart)),
        effective=float(1.0 / np.square(weights).sum()),
        variance=float(np.var(logs)) if usable.all() else math.inf,
        largest=float(np.max(logs) - np.mean(logs)),
        outside=float(np.mean(~usable)),
    )
