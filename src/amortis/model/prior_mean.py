"""What to put into a latent site of a NumPyro model for its prior mean."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from amortis.model.numpyro_sites import unconstrained_bijection


def mean_or_zero(site: Any) -> Array | None:
    """A latent site's prior mean; what unconstrained zero is mapped to where there is none.

    Coordinates without a finite mean are those of a Cauchy, say, or of an improper prior.

    Args:
        site: of a trace, with its distribution.

    Returns:
        A value in the support; None of sites that are not latent.
    """
    if site["type"] != "sample" or site["is_observed"]:
        return None
    function = site["fn"]
    bijection = unconstrained_bijection(site["name"], function)
    try:
        mean = bijection.inv(jnp.broadcast_to(1.0 * function.mean, function.shape()))
    except NotImplementedError:
        mean = jnp.zeros(bijection.inverse_shape(function.shape()))
    return bijection(jnp.where(jnp.isfinite(mean), mean, 0.0))
