"""Parameters of an inference function whose outputs are as near as can be to wanted ones."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float

from amortis._types import Parameters, RandomKey
from amortis.guide import Guide
from amortis.inference_functions import AbstractInferenceFunction, Table
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
    start = guide.inference.init(key, guide.shape)
    point, unravel = ravel_pytree(start)
    distance = _Distance(guide.inference, start, guide.contexts, target, scales)
    return unravel(minimised(distance, point, _EVALUATIONS).point)


class _Distance(eqx.Module):
    """Mean squared distance of the outputs from what is wanted; a pytree, to be compiled once.

    Attributes:
        inference: the function.
        shapes: any parameters, for their shapes.
        contexts: what it reads of each row.
        target: what is wanted of it.
        scales: units of each number.
    """

    inference: AbstractInferenceFunction
    shapes: Parameters
    contexts: Any
    target: Float[Array, "rows raw"]
    scales: Float[Array, "rows raw"]

    def __call__(self, point: Float[Array, " p"]) -> Float[Array, ""]:
        """In units of the scales, per row."""
        parameters = ravel_pytree(self.shapes)[1](point)
        outputs = self.inference(parameters, self.contexts, None)
        apart = self.scales * (outputs - self.target)
        return jnp.mean(jnp.sum(jnp.square(apart), axis=1))
