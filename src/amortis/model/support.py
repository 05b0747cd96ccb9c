"""Whether what a model observes can be observed: images of zeros and ones, counts.

NumPyro evaluates a Bernoulli's log probability at 0.5, or a Poisson's at 2.7, without a word, and
what comes out is the posterior of another model.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Bool
from numpyro.distributions import constraints

from amortis._errors import DataError
from amortis.model.latent_model import LatentModel
from amortis.model.numpyro_density import NumPyroDensity
from amortis.model.numpyro_sites import family_name

_WHAT = {
    type(constraints.boolean): "zeros and ones",
    type(constraints.nonnegative_integer): "whole numbers from 0 on",
    type(constraints.positive_integer): "whole numbers from 1 on",
    constraints.integer_interval: "whole numbers within its range",
    constraints.multinomial: "whole numbers from 0 on that add up to its total count",
    type(constraints.positive): "positive numbers",
    type(constraints.unit_interval): "numbers between 0 and 1",
}
"""Supports that do not hang on latents, and what their values are."""


def check_support(model: LatentModel) -> None:
    """Check that a model's observations lie in the supports of their sites.

    Masked entries may be anything. Supports that latents move are left to the log density.

    Args:
        model: a NumPyro model bound by rows.

    Raises:
        DataError: they do not, with the site and its first bad entry.
    """
    density = model.density
    assert isinstance(density, NumPyroDensity)
    whats: dict[str, tuple[str, str]] = {}

    def outside(model: LatentModel) -> dict[str, tuple[Array, Array]]:
        found: dict[str, tuple[Array, Array]] = {}
        for name, site in density.at_zero(model).items():
            what = _WHAT.get(type(_elementwise(site["fn"]).support))
            if what is not None and site["is_observed"]:
                whats[name] = (what, family_name(site["fn"]))
                found[name] = (site["value"], _outside(site["fn"], site["value"]))
        return found

    if not jax.eval_shape(outside, model):
        return
    for name, (values, bad) in jax.device_get(eqx.filter_jit(outside)(model)).items():
        if not bad.any():
            continue
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        what, family = whats[name]
        raise DataError(
            f"site {name!r} ({family}) observes {_shown(values[first])}, first at index {first} "
            f"({int(bad.sum())} such values); expected {what}: recode the data, or observe them "
            f"with another distribution"
        )


def _outside(function: Any, values: Any) -> Bool[Array, "..."]:
    """Which entries lie outside, of those that are not masked."""
    inner, mask = _elementwise(function), _mask(function)
    inside = inner.support(values)
    if isinstance(inner.support, constraints.multinomial):
        inside &= jnp.all(values == jnp.floor(values), axis=-1)
    if mask is not None:
        extra = inside.ndim - jnp.ndim(mask)
        inside |= ~jnp.reshape(mask, (*jnp.shape(mask), *([1] * max(extra, 0))))
    return ~inside


def _elementwise(function: Any) -> Any:
    """The distribution inside all that wraps it, whose batch keeps event axes."""
    while isinstance(
        function, dist.Independent | dist.ExpandedDistribution | dist.MaskedDistribution
    ):
        function = function.base_dist
    return function


def _mask(function: Any) -> Any:
    while isinstance(
        function, dist.Independent | dist.ExpandedDistribution | dist.MaskedDistribution
    ):
        if isinstance(function, dist.MaskedDistribution):
            return function._mask  # pyright: ignore[reportPrivateUsage]
        function = function.base_dist
    return None


def _shown(value: Any) -> str:
    return f"{value:g}" if np.ndim(value) == 0 else np.array2string(value, threshold=6)
