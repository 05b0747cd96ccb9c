"""A variational autoencoder of binarised images: 20 latents, a decoder of two hidden layers.

    amortis fit examples/vae.py:model --data t10k-images-idx3-ubyte.gz \\
        --inference mlp:200x2 --optimiser adam:2000x100 --out fitted

The decoder's weights are those of `eqx_module`: point estimates, without a prior. With
`--inference iterative:5` a function that learns to optimise takes the place of the encoder.

The data are N images as an array of shape (N, D) or (N, height, width). Bytes are one where they
are at least half of full white; others are taken as they are, and have to be zero or one.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array
from numpyro.contrib.module import eqx_module


def model(x: Array, latents: int = 20, width: int = 200) -> None:
    r"""$z_n \sim N(0, I)$, $x_n \sim \mathrm{Bernoulli}(\mathrm{decoder}(z_n))$, pixel by pixel."""
    images = x.reshape(x.shape[0], -1)
    pixels = (images >= 128 if x.dtype == jnp.uint8 else images).astype(float)
    key = jax.random.key(0)
    network = eqx.nn.MLP(latents, images.shape[1], width, 2, jax.nn.elu, key=key)
    decoder: Any = eqx_module("decoder", network)
    with numpyro.plate("images", images.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([latents]).to_event(1))
        drawn = dist.Bernoulli(logits=jax.vmap(decoder)(z)).to_event(1)
        numpyro.sample("pixels", drawn, obs=pixels)
