"""The model: a decoder whose weights are latent, for all images at once."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

SCALE = 0.5**0.5
"""Sd of the weights and of the pixels: the code's log joint has Σθ² and Σ(x - μ)², of weight 1."""

_SLOPE = 0.2


def leaky_relu(values: Array) -> Array:
    """max(v, v / 5), as in the code's decoder and encoder."""
    return jax.nn.leaky_relu(values, _SLOPE)


def decoded(weights: Mapping[str, Any], z: Float[Array, "rows d"]) -> Float[Array, "rows pixels"]:
    """Images that a decoder makes of codes.

    Args:
        weights: matrices w1, w2, … (from, to) and biases b1, b2, …
        z: one code per row.

    Returns:
        One image per row, its pixels laid end to end; the last layer is linear.
    """
    layers = len(weights) // 2
    hidden = z
    for layer in range(1, layers + 1):
        hidden = hidden @ weights[f"w{layer}"] + weights[f"b{layer}"]
        hidden = leaky_relu(hidden) if layer < layers else hidden
    return hidden


def weight_shapes(sizes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights by site.

    Args:
        sizes: units of all layers, codes first and pixels last.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (m, n) in enumerate(pairwise(sizes), start=1):
        shapes |= {f"w{layer}": (m, n), f"b{layer}": (n,)}
    return shapes


def bnn(latents: int, hidden: tuple[int, ...]) -> Callable[[Float[Array, "rows pixels"]], None]:
    r"""The model as the code has it, with every constant.

    $\theta_j\sim N(0, \tfrac12)$, $z_n\sim N(0, I)$, $x_n\sim N(\Psi(z_n;\theta), \tfrac12 I)$, so
    that $\log p = -\sum\theta^2 - \tfrac12\sum z^2 - \sum(x - \mu)^2$ + constants, in nats.

    Args:
        latents: dimensions of a code.
        hidden: widths of the decoder's hidden layers.

    Returns:
        A NumPyro model of images, one per row, pixels in [0, 1].
    """

    def model(x: Float[Array, "rows pixels"]) -> None:
        shapes = weight_shapes((latents, *hidden, x.shape[1]))
        weights = {
            name: numpyro.sample(name, dist.Normal(0.0, SCALE).expand(shape).to_event(len(shape)))
            for name, shape in shapes.items()
        }
        with numpyro.plate("images", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([latents]).to_event(1))
            mean = decoded(weights, jnp.asarray(z))
            numpyro.sample("x", dist.Normal(mean, SCALE).to_event(1), obs=x)

    return model
