"""`predict` and `log_likelihood`: new data from a fit, and how likely it makes those it has."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._require import require_count, require_key, require_kind
from amortis._types import RandomKey, Sites
from amortis.fitting.draws import Fitted, OfOneDraw, over_draws, shapes_of
from amortis.fitting.record import Fit
from amortis.model import log_likelihoods, replicate

MOST_NUMBERS = 250_000_000
"""Numbers that draws may take together: one gigabyte in 32 bit, two in 64."""


def predict(fitted: Fit, *, key: RandomKey, draws: int = 1000) -> dict[str, np.ndarray]:
    r"""Draw replicates of the data: $x^{rep} \sim p(x \mid \theta, z)$ with $(\theta, z) \sim q$.

    The s-th replicate belongs to the s-th draw of `fitted.posterior` with the same key and number
    of draws. For new data predict from `infer(fitted, *new_data)`: each $z_m$ then comes from the
    function at the new datum. The model runs on its data, so what it sizes by them is right, and
    what it computes from its arguments (covariates, lags) is as it was; a site that depends on
    the returned value of another observed site follows its replicate. Entries that are masked are
    drawn too; `numpyro.factor` has no data and is left out.

    Args:
        fitted: a fit of a model made by `from_numpyro`.
        key: random key.
        draws: number of draws, at least one.

    Returns:
        By observed site, shape (draws, *shape of the observation), on the scale of the data.

    Raises:
        ArgumentError: draws below one, or so many that the replicates take more than 250 million
            numbers; a model made by `from_density`, without an observed site, or with one that
            has no sampler.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist
        >>> import amortis
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> x = jax.numpy.linspace(-3.0, 5.0, 50)
        >>> fitted = amortis.fit(amortis.from_numpyro(model, x), key=jax.random.key(0))
        >>> amortis.predict(fitted, key=jax.random.key(1), draws=100)["x"].shape
        (100, 50)
        >>> new = amortis.infer(fitted, x[:3] + 1.0)
        >>> amortis.predict(new, key=jax.random.key(2), draws=100)["x"].shape
        (100, 3)
    """
    return _of_observed(fitted, _replicates, key, draws)


def log_likelihood(fitted: Fit, *, key: RandomKey, draws: int = 1000) -> dict[str, np.ndarray]:
    r"""$\log p(x_i \mid \theta, z)$ of every observed point at draws of q, in nats.

    The likelihood is conditional on the point's own latents. The draws are those of
    `fitted.posterior` with the same key and number of draws. Points are the entries of a site's
    batch; where a site is one event with an entry per row (`to_event`), they are the rows. Masked
    entries count as zero, weights by `numpyro.handlers.scale` are left out, and
    `numpyro.factor` has no data and is left out.

    Args:
        fitted: a fit of a model made by `from_numpyro`.
        key: random key.
        draws: number of draws, at least one.

    Returns:
        By observed site, shape (draws, *shape of the site's batch), in nats per point.

    Raises:
        ArgumentError: draws below one, or so many that they take more than 250 million numbers; a
            model made by `from_density`, or without an observed site.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist
        >>> import amortis
        >>> def model(x):
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> bound = amortis.from_numpyro(model, jax.numpy.linspace(-3.0, 5.0, 50))
        >>> fitted = amortis.fit(bound, key=jax.random.key(0))
        >>> amortis.log_likelihood(fitted, key=jax.random.key(1), draws=100)["x"].shape
        (100, 50)
    """
    return _of_observed(fitted, _likelihoods, key, draws)


def require_few(shapes: Iterable[tuple[int, ...]], draws: int, remedy: str = "") -> None:
    """Refuse draws that would take more than `MOST_NUMBERS`.

    Args:
        shapes: shapes of what one draw consists of.
        draws: number of draws.
        remedy: what could be done besides asking for fewer draws.

    Raises:
        ArgumentError: they would.
    """
    per_draw = sum(math.prod(shape) for shape in shapes)
    if per_draw * draws > MOST_NUMBERS:
        fewer = MOST_NUMBERS // per_draw
        advice = f"ask for draws={fewer} or fewer{remedy}" if fewer else f"take fewer data{remedy}"
        raise ArgumentError(
            f"{draws} draws of {per_draw} numbers each are {per_draw * draws:.2g} numbers; "
            f"expected at most {MOST_NUMBERS:.2g}: {advice}"
        )


def _of_observed(
    fitted: Fit, evaluate: OfOneDraw, key: RandomKey, draws: int
) -> dict[str, np.ndarray]:
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    require_key(key)
    require_count("number of", "draws", draws, "ask for more")
    shapes = shapes_of(fitted.arrays, evaluate)
    if not shapes:
        raise ArgumentError(
            "the model has no observed site, only factors, which do not say how data are drawn; "
            "expected numpyro.sample(..., obs=...): write the likelihood as an observed site"
        )
    require_few(shapes.values(), draws)
    return over_draws(fitted.arrays, evaluate, key, draws)


def _replicates(
    fitted: Fitted, raw: Float[Array, "rows raw"], theta: Sites, z: Sites, key: RandomKey
) -> Mapping[str, Any]:
    del raw
    return replicate(fitted.model, theta, z, key)


def _likelihoods(
    fitted: Fitted, raw: Float[Array, "rows raw"], theta: Sites, z: Sites, key: RandomKey
) -> Mapping[str, Any]:
    del raw, key
    return log_likelihoods(fitted.model, theta, z)
