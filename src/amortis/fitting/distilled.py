"""Parameters of an inference function whose outputs are as near as can be to wanted ones."""

import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float

from amortis._types import Parameters, RandomKey
from amortis.guide import Guide
from amortis.inference_functions import Table
from amortis.optimise import minimised

_EVALUATIONS = 400


def distilled(
    guide: Guide,
    wanted: Float[np.ndarray, "rows raw"],
    sds: Float[ArrayLike, "rows d"],
    key: RandomKey,
) -> Parameters:
    r"""Fit the guide's function to raw parameters of rows, by least squares.

    Means count in units of the rows' sds, log sds as they are, and slopes as what they are slopes
    of: near the wanted factors that is the divergence between Gaussians. A factor for each row is
    set to what is wanted. The objective is not looked at; the fit begins here.

    Args:
        guide: of the wanted fit.
        wanted: raw parameters, one row each.
        sds: of each row's locals.
        key: random key of the function's start.

    Returns:
        Parameters of the function.
    """
    target = jnp.asarray(wanted, guide.offset.dtype) - guide.offset
    if isinstance(guide.inference, Table):
        return target
    # Each vector of raw parameters begins with the means; see `Conditional`.
    scales = jnp.ones((target.shape[0], 1 + guide.shape.given, guide.shape.at_mean))
    means = guide.z.dimension
    scales = scales.at[:, :, :means].set(1.0 / jnp.asarray(sds)[:, None, :]).reshape(target.shape)
    point, unravel = ravel_pytree(guide.inference.init(key, guide.shape))

    def loss(point: Float[Array, " p"]) -> Float[Array, ""]:
        outputs = guide.inference(unravel(point), guide.contexts, None)
        return jnp.mean(jnp.sum(jnp.square(scales * (outputs - target)), axis=1))

    return unravel(minimised(loss, point, _EVALUATIONS))
