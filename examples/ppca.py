"""Probabilistic PCA of images: eight numbers per image, linear in both directions.

    amortis fit examples/ppca.py:model --data t10k-images-idx3-ubyte.gz \\
        --inference polynomial:1 --globals point

On the 10 000 MNIST test images this ends after two minutes on two cores at 155.70 nats per image,
STALLED; the exact log evidence is 155.80 (Tipping & Bishop 1999).

The data are N images as an array of shape (N, D) or (N, height, width), of any numeric type. Bytes
are read as 0..255 and everything else as it is, so that the noise is in units of full white.
"""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array

LATENTS = 8


def model(x: Array, latents: int = LATENTS) -> None:
    r"""$z_n \sim N(0, I_K)$, $x_n \sim N(W z_n + \mu, \sigma^2 I)$, with flat $W, \mu, \sigma$."""
    scale = 255.0 if x.dtype == jnp.uint8 else 1.0
    pixels = x.reshape(x.shape[0], -1).astype(float) / scale
    real, positive = dist.constraints.real, dist.constraints.positive
    loadings = numpyro.sample("W", dist.ImproperUniform(real, (), (pixels.shape[1], latents)))
    mean = numpyro.sample("mu", dist.ImproperUniform(real, (), (pixels.shape[1],)))
    noise_sd = numpyro.sample("sigma", dist.ImproperUniform(positive, (), ()))
    with numpyro.plate("images", pixels.shape[0]):
        code = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([latents]).to_event(1))
        drawn = dist.Normal(code @ loadings.T + mean, noise_sd).to_event(1)
        numpyro.sample("pixels", drawn, obs=pixels)
