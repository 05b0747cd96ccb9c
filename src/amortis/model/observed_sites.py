"""What a NumPyro model says of its observed sites at given latents: log densities, new data."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array
from numpyro.distributions import biject_to

from amortis._errors import ArgumentError
from amortis._types import RandomKey, Sites, Values
from amortis.model.bound_call import BoundCall
from amortis.model.latent_model import LatentModel
from amortis.model.numpyro_sites import peel
from amortis.model.parameter import Parameter


@dataclasses.dataclass(frozen=True)
class Outline:
    """Names and data of a model, for whoever has to label its draws.

    Attributes:
        axes: for each site but factors, the plate along each axis of its value, or None.
        plates: size of each plate that holds a site.
        observed: value of each observed site but factors, in the shape of its replicates.
        arguments: what the model was called with, by name: arrays and plain values.
    """

    axes: Mapping[str, tuple[str | None, ...]]
    plates: Mapping[str, int]
    observed: Mapping[str, np.ndarray]
    arguments: Mapping[str, Any]


def replicate(model: LatentModel, theta: Sites, z: Sites, key: RandomKey) -> dict[str, Array]:
    r"""Draw all observed sites once from $p(x \mid \theta, z)$.

    The model runs with its latents held and every observed site drawn in the model's order, so a
    site that is made of another observed site's *returned value* follows that site's replicate,
    while what the model reads off its arguments stays as it is. Entries that are masked are drawn
    like others. Factors have no data and are left out.

    Args:
        model: a model made by `from_numpyro`.
        theta: unconstrained globals by site.
        z: unconstrained locals by site, rows first.
        key: random key.

    Returns:
        By observed site, an array of the shape of the observation.

    Raises:
        ArgumentError: a model made by `from_density`, or an observed site without a sampler.
    """
    call = model.density.bound_call(model.data)
    trace = _trace(call, _Held(_latents(model, theta, z), replicates=True), key)
    return {name: jnp.asarray(site["value"]) for name, site in _observed(trace).items()}


def log_likelihoods(model: LatentModel, theta: Sites, z: Sites) -> dict[str, Array]:
    r"""$\log p(x_i \mid \theta, z)$ of every point of every observed site, in nats.

    Points are the entries of a site's batch, as NumPyro has it; where a site is one event whose
    first axis has an entry per row, they are the rows. Masked entries count as zero. Weights by
    `numpyro.handlers.scale` are left out, as they are by `numpyro.infer.log_likelihood`.

    Args:
        model: a model made by `from_numpyro`.
        theta: unconstrained globals by site.
        z: unconstrained locals by site, rows first.

    Returns:
        By observed site, an array of the shape of its batch.

    Raises:
        ArgumentError: a model made by `from_density`.
    """
    call = model.density.bound_call(model.data)
    trace = _trace(call, _Held(_latents(model, theta, z)), jax.random.key(0))
    return {name: _pointwise(site, call.lengths) for name, site in _observed(trace).items()}


def outline(model: LatentModel) -> Outline:
    """Run the model once on its data to see what its axes are called.

    Args:
        model: a bound model; one made by `from_density` does not say what it observes.

    Returns:
        Names and data.
    """
    arguments = model.density.bound_call(model.data).arguments
    if model.density.bound_call(model.data).run is None:
        return _outline_of_density(model, arguments)
    theta = {name: jnp.zeros(shape) for name, shape in model.globals_.items()}
    axes: dict[str, tuple[str | None, ...]] = {}
    plates: dict[str, int] = {}

    @eqx.filter_jit
    def run(model: LatentModel) -> dict[str, Array]:
        z = model.zeros(model.size)
        call = model.density.bound_call(model.data)
        trace = _trace(call, _Held(_latents(model, theta, z)), jax.random.key(0))
        observed = _observed(trace)
        values = {name: jnp.broadcast_to(s["value"], _shape(s)) for name, s in observed.items()}
        for name, site in trace.items():
            latent = site["type"] == "sample" and not site["is_observed"]
            if latent or site["type"] == "deterministic" or name in observed:
                shape = values[name].shape if name in values else jnp.shape(site["value"])
                axes[name] = _plates_of(site, shape)
                named = {n: shape[i] for i, n in enumerate(axes[name]) if n is not None}
                plates.update(named)
        return values

    observed = {name: np.asarray(value) for name, value in run(model).items()}
    return Outline(axes, plates, observed, arguments)


def _outline_of_density(model: LatentModel, arguments: Mapping[str, Any]) -> Outline:
    """Rows come first, and nothing else is known."""
    theta = {name: jnp.zeros(shape) for name, shape in model.globals_.items()}
    values = jax.eval_shape(lambda: model.constrain(theta, model.zeros(model.size)))
    axes: dict[str, tuple[str | None, ...]] = {}
    for name, value in values.items():
        first = model.plate if name in model.locals_ else None
        axes[name] = (first, *(None,) * (value.ndim - 1)) if value.ndim else ()
    return Outline(axes, {model.plate: model.size}, {}, arguments)


def _latents(model: LatentModel, theta: Sites, z: Sites) -> dict[str, Array]:
    """Values of all latents, and of what has no prior, on the model's scale."""
    values: Values = model.constrain(theta, z)
    named = (*model.globals_, *model.locals_)
    return {name: theta[name] if name in model.starts else values[name] for name in named}


def _trace(call: BoundCall, held: "_Held", key: RandomKey) -> dict[str, Any]:
    if call.run is None:
        raise ArgumentError(
            "the model was made by from_density, whose log densities do not say how data are "
            "drawn; expected one made by from_numpyro: write it in NumPyro to predict from it"
        )
    substituted = numpyro.handlers.substitute(call.run, substitute_fn=held)
    return dict(numpyro.handlers.trace(numpyro.handlers.seed(substituted, key)).get_trace())


class _Held:
    """Holds the latents at values on their supports; draws the observed sites, or leaves them.

    What has no prior is no value of `constrain`, and comes unconstrained.
    """

    def __init__(self, latents: Values, replicates: bool = False) -> None:
        self._latents, self._replicates = latents, replicates

    def __call__(self, site: Any) -> Array | None:
        if site["type"] != "sample":
            return None
        if site["is_observed"]:
            if self._replicates and not _is_factor(site["fn"]):
                # Set here and not returned: inside `scan`, NumPyro would take a value of more
                # axes than the distribution has for those of all steps.
                site["value"] = _drawn(site)
            return None
        value = self._latents[site["name"]]
        if isinstance(site["fn"], Parameter):
            return biject_to(site["fn"].constraint)(value)
        # Inside `scan` NumPyro hands over one step's site, and says which step it is.
        step = site["infer"].get("_scan_current_index")
        inside = step is not None and value.ndim > len(site["fn"].shape())
        return value[step] if inside else value


def _drawn(site: Any) -> Array:
    """One draw in the shape of the observation, which may be wider than the distribution."""
    law, shape = site["fn"], _shape(site)
    while isinstance(law, dist.Independent | dist.MaskedDistribution):
        law = law.base_dist
    try:
        drawn = _sampled(law, shape[: len(shape) - law.event_dim], numpyro.prng_key())
    except NotImplementedError as error:
        raise ArgumentError(
            f"observed site {site['name']!r} ({type(law).__name__}) has no sampler; expected a "
            f"distribution that can be drawn from: give it a `sample` method to predict"
        ) from error
    # Counts that came as floats stay floats, for models that calculate with what they observe.
    dtype = jnp.asarray(site["value"]).dtype
    return drawn.astype(dtype) if jnp.issubdtype(dtype, jnp.floating) else drawn


def _sampled(law: Any, batch: tuple[int, ...], key: Any) -> Array:
    """One draw of a law for every entry of a batch.

    NumPyro's own samplers of counts ask for their largest total, unless totals are constants.
    """
    inner: Any = law
    while isinstance(inner, dist.ExpandedDistribution):
        inner = inner.base_dist
    of_multinomial = isinstance(inner, dist.MultinomialProbs | dist.MultinomialLogits)
    if not of_multinomial and not isinstance(inner, dist.DirichletMultinomial):
        return jnp.asarray(law.expand(batch).sample(key))
    given: Any = inner.probs if of_multinomial else inner.concentration
    shares = jnp.broadcast_to(given, (*batch, given.shape[-1]))
    if not of_multinomial:
        first, key = jax.random.split(key)
        shares = jax.random.dirichlet(first, shares)
    totals: Any = inner.total_count
    totals = jnp.broadcast_to(jnp.asarray(totals, shares.dtype), batch)
    return jax.random.multinomial(key, totals, shares).astype(int)


def _shape(site: Any) -> tuple[int, ...]:
    """Shape of an observation: the data's and the distribution's, whichever is wider."""
    return jnp.broadcast_shapes(jnp.shape(site["value"]), tuple(site["fn"].shape()))


def _observed(trace: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: site
        for name, site in trace.items()
        if site["type"] == "sample" and site["is_observed"] and not _is_factor(site["fn"])
    }


def _is_factor(law: Any) -> bool:
    """Whether a site is `numpyro.factor`'s, inside plates and masks too."""
    while isinstance(law, dist.Independent | dist.ExpandedDistribution | dist.MaskedDistribution):
        law = law.base_dist
    return isinstance(law, dist.Unit)


def _pointwise(site: Any, lengths: tuple[int, ...]) -> Array:
    law, value = site["fn"], site["value"]
    whole = law.log_prob(value)
    if jnp.ndim(whole) == 0 and isinstance(law, dist.Independent):
        entries = peel(law).log_prob(value)
        if entries.ndim and entries.shape[0] in lengths:
            return jnp.sum(entries.reshape(entries.shape[0], -1), axis=1)
    return whole


def _plates_of(site: Any, shape: tuple[int, ...]) -> tuple[str | None, ...]:
    """The plate along each axis of a value."""
    frames = site.get("cond_indep_stack", ())
    names: list[str | None] = [None] * len(shape)
    if site["type"] == "sample":
        batch = len(shape) - site["fn"].event_dim
    else:
        # A deterministic value does not say which of its axes are events; those come last, so the
        # plates are the first axes, unless it lacks some of them.
        batch = min(max((-f.dim for f in frames), default=0), len(shape))
    for frame in frames:
        axis = batch + frame.dim
        if 0 <= axis < len(shape) and shape[axis] == frame.size:
            names[axis] = frame.name
    return tuple(names)
