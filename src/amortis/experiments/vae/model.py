"""The model: Gaussian latents, a decoder, and a Bernoulli for every pixel."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.contrib.module import eqx_module

import amortis
from amortis._types import RandomKey

ImageModel = Callable[[Array], None]


def image_decoder(latent: int, width: int, pixels: int, key: RandomKey) -> eqx.nn.MLP:
    """A network from latents to logits of pixels, with two hidden layers.

    Args:
        latent: dimension of z.
        width: units of each hidden layer.
        pixels: of an image.
        key: random key of the weights at the start.
    """
    return eqx.nn.MLP(latent, pixels, width, 2, jax.nn.elu, key=key)


def image_model(network: eqx.nn.MLP) -> ImageModel:
    r"""$z_n \sim N(0, I)$, $x_n \sim \mathrm{Bernoulli}(\mathrm{decoder}(z_n))$ pixel by pixel.

    Args:
        network: the decoder, with the weights at which the search for them starts.
    """

    def model(x: Float[Array, "n pixels"]) -> None:
        decoder: Any = eqx_module("decoder", network)
        with numpyro.plate("images", x.shape[0]):
            standard = dist.Normal(0.0, 1.0).expand([network.in_size])
            z = numpyro.sample("z", standard.to_event(1))
            logits = jax.vmap(decoder)(z)
            numpyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    return model


def pixel_means(
    fitted: amortis.Fit, network: eqx.nn.MLP, z: Float[np.ndarray, "n latent"]
) -> Float[np.ndarray, "n pixels"]:
    """What the fitted decoder makes of latents: the probability of each pixel.

    Args:
        fitted: a fit of `image_model(network)`.
        network: the decoder, for its form.
        z: latents.
    """
    decoder = eqx.combine(fitted.params["decoder$params"], network)
    return np.asarray(jax.nn.sigmoid(jax.vmap(decoder)(z)))
