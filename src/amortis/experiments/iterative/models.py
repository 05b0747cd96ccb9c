"""Deep latent Gaussian models of images, with one level of latents or two."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.contrib.module import eqx_module

from amortis._types import RandomKey

ImageModel = Callable[[Array], None]

Weights = Mapping[str, Any]
"""Networks' weights as `Fit.params` has them."""


def one_level(
    latent: int, width: int, pixels: int, key: RandomKey, held: Weights | None = None
) -> ImageModel:
    r"""$z_n \sim N(0, I)$, $x_n \sim \mathrm{Bernoulli}(\mathrm{decoder}(z_n))$ pixel by pixel.

    Args:
        latent: dimension of z.
        width: units of each of the decoder's two hidden layers.
        pixels: of an image.
        key: random key of the weights at the start.
        held: weights by name of the module, which are constants then; None to estimate them.
    """
    network = _network(latent, pixels, width, key)

    def model(x: Float[Array, "n pixels"]) -> None:
        decoder = _module("decoder", network, held)
        with numpyro.plate("images", x.shape[0]):
            z = numpyro.sample("z", _standard(latent))
            _observed(jax.vmap(decoder)(z), x)

    return model


def two_levels(
    latent: int, upper: int, width: int, pixels: int, key: RandomKey, held: Weights | None = None
) -> ImageModel:
    r"""$z_2 \sim N(0, I)$, $z_1 \sim N(m(z_2), s(z_2))$, $x \sim$ Bernoulli(decoder($z_1$)).

    Args:
        latent: dimension of the lower level.
        upper: dimension of the upper one.
        width: units of each hidden layer.
        pixels: of an image.
        key: random key of the weights at the start.
        held: see `one_level`.
    """
    first, second = jax.random.split(key)
    network = _network(latent, pixels, width, first)
    above = _network(upper, 2 * latent, width, second)

    def model(x: Float[Array, "n pixels"]) -> None:
        decoder = _module("decoder", network, held)
        prior = _module("prior", above, held)
        with numpyro.plate("images", x.shape[0]):
            top = numpyro.sample("z2", _standard(upper))
            mean, spread = jax.numpy.split(jax.vmap(prior)(top), 2, axis=1)
            law = dist.Normal(mean, jax.nn.softplus(spread + 0.5413))  # one, at the start
            z = numpyro.sample("z1", law.to_event(1))
            _observed(jax.vmap(decoder)(z), x)

    return model


def _module(name: str, network: Any, held: Weights | None) -> Any:
    if held is None:
        return eqx_module(name, network)
    return eqx.combine(held[f"{name}$params"], network)


def _network(inputs: int, outputs: int, width: int, key: RandomKey) -> Any:
    return eqx.nn.MLP(inputs, outputs, width, 2, jax.nn.elu, key=key)


def _standard(dimension: int) -> Any:
    return dist.Normal(0.0, 1.0).expand([dimension]).to_event(1)


def _observed(logits: Array, x: Array) -> None:
    numpyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)
