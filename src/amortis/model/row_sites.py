"""What a NumPyro model says of each row beyond its density: errors of its sites, and its prior."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float

from amortis._errors import ArgumentError
from amortis._types import Rows, Sites
from amortis.model.latent_model import LatentModel
from amortis.model.numpyro_density import NumPyroDensity

_LOOKED_AT = 2
"""Rows on which distributions are asked whether they have what is needed."""


def row_errors(
    model: LatentModel, theta: Sites, z: Sites, rows: Rows
) -> Float[Array, "batch columns"]:
    r"""Standardized errors of every local site, row by row, without unit.

    $(v - E[v\mid\mathrm{parents}]) / \mathrm{sd}[v\mid\mathrm{parents}]$ of the observed sites, v
    the data, and of the latent ones, v being z. Of a category, v is one for the category that came
    and zero for the others. Entries that are masked, and those without spread, have none: zero.

    Args:
        model: a model whose rows `require_errors` has found to have errors.
        theta: unconstrained globals by site.
        z: unconstrained locals by site, rows first.
        rows: the batch, of `model.rows`.

    Returns:
        One row per row of the batch; sites in the order of the model.
    """
    density = _density_of(model)
    columns: list[Array] = []
    for name, site in density.sites_at(theta, z, rows).items():
        if name in density.local_sites and not _is_factor(site["fn"]):
            errors = _standardized(site)
            whole = jnp.broadcast_shapes(jnp.shape(site["value"]), site["fn"].shape())
            more = errors.ndim - len(whole)  # an axis of categories
            columns.append(density.rows_first(errors, site["fn"].event_dim + more))
    return jnp.concatenate(columns, axis=1)


def error_columns(model: LatentModel) -> int:
    """Number of columns of `row_errors`, once the model is known to have them.

    Args:
        model: a bound model.

    Raises:
        ArgumentError: a model that is not known by its sites, or a site without mean and variance.
    """
    density, batch = _density_of(model), _few(model)
    theta = {name: jnp.zeros(shape) for name, shape in model.globals_.items()}
    z = model.zeros(min(_LOOKED_AT, model.size))

    @eqx.filter_jit
    def known(model: LatentModel, rows: Rows) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for name, site in density.sites_at(theta, z, rows).items():
            if name in density.local_sites and not _is_factor(site["fn"]):
                mean, variance = _moments(name, _inner(site["fn"])[0])
                found[name] = jnp.all(~jnp.isnan(mean)) & jnp.all(~jnp.isnan(variance))
        return found

    for name, is_known in known(model, batch).items():
        if not is_known:
            raise _no_moments(name, "a distribution whose mean or variance is not a number")
    shape = jax.eval_shape(lambda: row_errors(model, theta, z, batch)).shape
    return int(shape[1])


def prior_moments(
    model: LatentModel, theta: Sites, rows: Rows
) -> tuple[dict[str, Array], dict[str, Array]]:
    r"""Means and sds of each row's latents under the prior, unconstrained, by site, rows first.

    A site that depends on other latents of the row is taken at their means.

    Args:
        model: a model made by `from_numpyro`.
        theta: unconstrained globals by site.
        rows: the batch, of `model.rows`.

    Raises:
        ArgumentError: a model that is not known by its sites; a latent that is not real, or whose
            prior has no known mean and variance.
    """
    density = _density_of(model)
    batch = jax.tree.leaves(rows)[0].shape[0]
    z: dict[str, Array] = model.zeros(batch)
    sds: dict[str, Array] = {}
    for name, shape in model.locals_.items():  # in the model's order: each given those before it
        site = density.sites_at(theta, z, rows)[name]
        law = _inner(site["fn"])[0]
        if law.support not in (dist.constraints.real, dist.constraints.real_vector):
            raise ArgumentError(
                f"start is the prior, but latent site {name!r} has support {law.support}, on which "
                f"the prior is no factor; expected latents on the reals: leave start out, or pass "
                f"a function such as amortis.Polynomial(1)"
            )
        mean, variance = _moments(name, law)
        wide = jnp.shape(site["value"])
        first = [
            density.rows_first(jnp.broadcast_to(part, wide), site["fn"].event_dim)
            for part in (mean, jnp.sqrt(variance))
        ]
        z[name], sds[name] = (part.reshape(batch, *shape) for part in first)
    return z, sds


def _density_of(model: LatentModel) -> NumPyroDensity:
    if not isinstance(model.density, NumPyroDensity):
        raise ArgumentError(
            f"errors and priors of rows are asked of a model that is known by "
            f"{type(model.density).__name__}, which does not say what it observes; expected one "
            f"made by from_numpyro whose rows stand alone: read slopes, amortis.LogSign()"
        )
    return model.density


def _few(model: LatentModel) -> Rows:
    return model.rows(jnp.arange(min(_LOOKED_AT, model.size)))


def _inner(law: Any) -> tuple[Any, Bool[Array, "..."] | bool]:
    """The distribution inside `.to_event` and masks, and the mask."""
    mask: Any = True
    while isinstance(law, dist.Independent | dist.MaskedDistribution):
        if isinstance(law, dist.MaskedDistribution):
            known = jnp.asarray(law._mask)  # pyright: ignore[reportPrivateUsage]
            mask = mask & known.reshape(*known.shape, *(1,) * law.event_dim)
        law = law.base_dist
    return law, mask


def _is_factor(law: Any) -> bool:
    law = _inner(law)[0]
    while isinstance(law, dist.ExpandedDistribution):
        law = law.base_dist
    return isinstance(law, dist.Unit)


def _probabilities(law: Any) -> Array | None:
    """Of a distribution over categories."""
    while isinstance(law, dist.ExpandedDistribution):
        law = law.base_dist
    categorical = isinstance(law, dist.CategoricalProbs | dist.CategoricalLogits)
    return jnp.asarray(law.probs) if categorical else None


def _moments(name: str, law: Any) -> tuple[Array, Array]:
    probabilities = _probabilities(law)
    if probabilities is not None:
        return probabilities, probabilities * (1.0 - probabilities)
    try:
        return jnp.asarray(law.mean), jnp.asarray(law.variance)
    except NotImplementedError as error:
        raise _no_moments(name, f"{type(law).__name__}, which has no mean or variance") from error


def _no_moments(name: str, law: str) -> ArgumentError:
    return ArgumentError(
        f"site {name!r} has {law}, so that its errors cannot be standardized; expected known means "
        f"and variances: read slopes instead, encoding=amortis.LogSign()"
    )


def _standardized(site: Mapping[str, Any]) -> Float[Array, "..."]:
    law, mask = _inner(site["fn"])
    mean, variance = _moments(site["name"], law)
    value = jnp.asarray(site["value"])
    if _probabilities(law) is not None:
        value = jax.nn.one_hot(value, mean.shape[-1], dtype=mean.dtype)
        mask = mask if isinstance(mask, bool) else mask[..., None]
    spread = variance > 0.0
    sd = jnp.sqrt(jnp.where(spread, variance, 1.0))
    return jnp.where(spread & mask, (value.astype(mean.dtype) - mean) / sd, 0.0)
