"""Algebra of the diagonal Gaussian in the coordinates (mean, log sd)."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

_LOG_TWO_PI = math.log(2 * math.pi)


def entropy(log_sd: Float[Array, " k"]) -> Float[Array, ""]:
    r"""Entropy of a diagonal Gaussian, in nats.

    $H[q] = \sum_k \left(\log s_k + \tfrac12 \log 2\pi e\right)$.

    Args:
        log_sd: logarithms of the standard deviations, shape (k,), any real numbers.

    Returns:
        The entropy in nats, total over the k dimensions.
    """
    return jnp.sum(log_sd) + log_sd.shape[0] * (0.5 * _LOG_TWO_PI + 0.5)


def log_density(
    value: Float[Array, " k"], mean: Float[Array, " k"], log_sd: Float[Array, " k"]
) -> Float[Array, ""]:
    r"""Log density of a diagonal Gaussian, in nats.

    $\log q(z) = -\sum_k \left(\log s_k + \tfrac12 \log 2\pi + \tfrac12 (z_k - m_k)^2/s_k^2\right)$.

    Args:
        value: the point, shape (k,), any real numbers.
        mean: the means, shape (k,).
        log_sd: logarithms of the standard deviations, shape (k,).

    Returns:
        The log density in nats, total over the k dimensions.
    """
    standardized = (value - mean) * jnp.exp(-log_sd)
    return -jnp.sum(log_sd + 0.5 * jnp.square(standardized)) - log_sd.shape[0] * 0.5 * _LOG_TWO_PI
