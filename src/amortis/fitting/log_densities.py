"""Log densities of the model and of q at draws of q, in double precision."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._types import RandomKey, Sites
from amortis.fitting.draws import Fitted, over_draws
from amortis.fitting.record import Fit

_ROWS = 16
"""Rows added in the precision of the model; their sums are added in double precision."""


def log_densities(
    fitted: Fit, *, key: RandomKey, draws: int
) -> tuple[Float[np.ndarray, " draws"], Float[np.ndarray, " draws"]]:
    r"""$\log p(\theta, z, x)$ and $\log q(\theta, z)$ at draws of q.

    Both on the unconstrained scale, with every constant, in nats, total. The mean of their
    difference is the ELBO. A sum over a million rows has no digits left behind the point in 32
    bit, and the difference would have none; so sums are finished in double precision.

    With `Point()` globals q has a density of the locals only, and the prior of the globals is on
    the constrained scale, as it is in the ELBO.

    Args:
        fitted: a fit.
        key: random key; the draws are those of `fitted.posterior` with the same.
        draws: number of draws, at least one.

    Returns:
        The two, one number per draw.
    """
    found = over_draws(fitted.arrays, _parts, key, draws)
    log_p, log_q = (
        found[f"{name}_globals"].astype(np.float64)
        + found[f"{name}_locals"].astype(np.float64).sum(axis=1)
        for name in ("p", "q")
    )
    return log_p, log_q


def _parts(
    fitted: Fitted, raw: Float[Array, "rows raw"], theta: Sites, z: Sites, key: RandomKey
) -> Mapping[str, Array]:
    del key
    guide = fitted.guide
    terms = fitted.model.log_terms(theta, z)
    log_q, local_log_q = guide.log_density(fitted.variational, raw, theta, z)
    log_det = terms.log_det if guide.global_family.is_density else jnp.zeros(())
    return {
        "p_globals": terms.prior + log_det,
        "p_locals": _partial_sums(terms.local),
        "q_globals": log_q,
        "q_locals": _partial_sums(local_log_q),
    }


def _partial_sums(values: Float[Array, " rows"]) -> Float[Array, " sums"]:
    padded = jnp.pad(values, (0, -values.shape[0] % _ROWS))
    return jnp.sum(padded.reshape(-1, _ROWS), axis=1)
