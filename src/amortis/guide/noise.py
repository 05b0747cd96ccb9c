"""`Noise`: what draws of q are made of."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float


class Noise(eqx.Module):
    """Standard normal noise for one draw, or with a leading axis for several.

    Attributes:
        theta: noise of the globals, shape (..., `Guide.noise_size`).
        z: noise of the locals, shape (..., rows, d_z), or (..., 1, d_z) where all rows share it.
        weight: weight of each draw in an expectation, shape (...); all weights sum to one.
    """

    theta: Float[ArrayLike, "*draws noise"]
    z: Float[ArrayLike, "*draws rows d_z"]
    weight: Float[ArrayLike, "*draws"]

    @classmethod
    def equal(cls, theta: Array, z: Array) -> "Noise":
        """Draws of equal weight, one per entry of the first axis."""
        draws = theta.shape[0]
        return cls(theta, z, jnp.full(draws, 1.0 / draws, theta.dtype))
