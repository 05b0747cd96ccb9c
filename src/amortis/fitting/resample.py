"""`resample`: draws of q, drawn again by their importance weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._require import require_count, require_key, require_kind
from amortis._types import RandomKey
from amortis.fitting.draws import Fitted
from amortis.fitting.log_densities import log_densities
from amortis.fitting.record import Fit
from amortis.optimise import Paths, resampled

_PER_DRAW, _FEWEST = 10, 10_000
"""Draws of q for each that is kept, and at least."""


def resample(fitted: Fit, *, key: RandomKey, draws: int = 1000) -> dict[str, np.ndarray]:
    r"""Draw from q and keep draws by their weights $p(x, \theta)/q(\theta)$.

    Where k-hat is below 0.7 (see `diagnose`) what comes out is closer to the posterior than q;
    where it is above, a few draws are kept again and again. Of a fit by `Pathfinder()` these are
    the draws that multi-path Pathfinder resamples with Pareto smoothed weights, by BlackJAX, from
    the draws of its paths, each weighed against the normal of its own path (k-hat in `diagnose` is
    that of their mixture, q). An archive does not hold the paths. Of loaded and of other fits ten
    times as many draws of q are weighed, with weights truncated at their mean times the root of
    their number.

    Args:
        fitted: a fit of a model without locals: of many locals no draw would weigh anything.
        key: random key.
        draws: number of draws to keep, with replacement.

    Returns:
        By site, shape (draws, *shape of the site in the model), deterministic sites too.

    Raises:
        ArgumentError: local latents, point estimates, or a number of draws below one.

    References:
        Ionides, *Truncated importance sampling* (2008); Zhang et al., *Pathfinder* (2022).

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist, amortis
        >>> def model(x):
        ...     rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         numpyro.sample("x", dist.Exponential(rate), obs=x)
        >>> bound = amortis.from_numpyro(model, jax.numpy.linspace(0.1, 3.0, 20))
        >>> fitted = amortis.fit(bound, key=jax.random.key(0))
        >>> resample(fitted, key=jax.random.key(1), draws=500)["rate"].shape
        (500,)
    """
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    require_key(key)
    require_count("number of", "draws", draws, "ask for more")
    if fitted.model.locals_ or not fitted.guide.global_family.is_density:
        what = "local latents" if fitted.model.locals_ else "point estimates"
        raise ArgumentError(
            f"resample got a fit with {what}; expected globals alone, with a density: bind the "
            f"model with local=amortis.Locals.NONE and fit such as FullRank()"
        )
    if isinstance(fitted.found, Paths):
        vectors = resampled(fitted.found, key, int(draws))
        return {name: np.asarray(v) for name, v in _values(fitted.arrays, vectors).items()}
    many = max(_PER_DRAW * int(draws), _FEWEST)
    log_p, log_q = log_densities(fitted, key=key, draws=many)
    log_weights = np.where(np.isfinite(log_p - log_q), log_p - log_q, -np.inf)
    weights = np.exp(log_weights - log_weights.max())
    weights = np.minimum(weights, weights.mean() * np.sqrt(many))
    seed = np.asarray(jax.random.key_data(numerics.forked(key, 1))).tolist()
    chosen = np.random.default_rng(seed).choice(many, int(draws), p=weights / weights.sum())
    every = fitted.posterior(key=key, draws=many)
    return {name: value[chosen] for name, value in every.items()}


@eqx.filter_jit
def _values(fitted: Fitted, vectors: Float[Array, "draws d"]) -> dict[str, Array]:
    """Constrained values by site of unconstrained vectors."""
    model, layout = fitted.model, fitted.guide.theta
    z = model.zeros(model.size)
    return jax.vmap(lambda v: dict(model.constrain(layout.split(jnp.asarray(v)), z)))(vectors)
