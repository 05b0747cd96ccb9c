"""Importance ratios of a guide: row by row, and of the globals with the locals summed out."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from amortis._types import Parameters, RowIndex
from amortis.guide import Guide, Noise
from amortis.model import LatentModel

_TOGETHER = 10_000
"""Rows times dimensions of the draws whose joint weights are computed at once."""


@eqx.filter_jit
def row_log_weights(
    model: LatentModel,
    guide: Guide,
    variational: Parameters,
    raw: Float[Array, "batch raw"],
    noise: Noise,
    index: RowIndex | None,
) -> Float[Array, "draws batch"]:
    r"""$\log p(x_n, z_n \mid \theta) - \log q(z_n)$ with $\theta, z_n \sim q$, in nats.

    Args:
        model: a separable model.
        guide: the guide.
        variational: its fitted parameters; those of the globals are used.
        raw: raw parameters of the rows' factors.
        noise: independent noise with a leading axis of draws.
        index: positions of the rows; None for all.
    """
    rows = model.data if index is None else model.rows(index)

    def one(noise: Noise) -> Float[Array, " batch"]:
        theta, z = guide.sample(variational, raw, noise)
        _, log_q = guide.log_density(variational, raw, theta, z)
        return model.log_terms(theta, z, rows).local - log_q

    return jax.vmap(one)(noise)


@eqx.filter_jit
def integrated_rows(
    model: LatentModel,
    guide: Guide,
    variational: Parameters,
    raw: Float[Array, "batch raw"],
    theta_noise: Float[ArrayLike, "draws noise"],
    rule: Noise,
    index: RowIndex | None,
) -> tuple[Float[Array, "draws batch"], Float[Array, "draws batch"], Float[Array, "draws batch"]]:
    r"""$\log \int p(x_n, z\mid\theta)\,dz$ by importance weighting with each row's own factor.

    $\log\sum_k w_k\, p(x_n, z_k\mid\theta) / q(z_k)$ with the points $z_k$ and weights $w_k$ of a
    rule for q: for one or two latents a grid, which leaves no noise.

    Args:
        model: a separable model.
        guide: the guide.
        variational: its fitted parameters.
        raw: raw parameters of the rows' factors.
        theta_noise: noise of the globals, one row per draw.
        rule: points and weights for the rows' locals; noise of globals in it is not used.
        index: positions of the rows; None for all.

    Returns:
        The logarithms; the relative variances of the weights, from which the noise follows of
        rules that have some; and the logarithms by every second point, from which follows how
        good a grid is.
    """
    rows = model.data if index is None else model.rows(index)
    log_weight = jnp.log(jnp.asarray(rule.weight))

    def at(theta_one: Float[Array, " noise"]) -> tuple[Array, Array, Array]:
        def ratio(z_one: Float[Array, "rows d_z"]) -> Float[Array, " batch"]:
            theta, z = guide.sample(variational, raw, Noise(theta_one, z_one, jnp.ones(())))
            _, log_q = guide.log_density(variational, raw, theta, z)
            return model.log_terms(theta, z, rows).local - log_q

        ratios = jax.vmap(ratio)(jnp.asarray(rule.z)) + log_weight[:, None]
        # Far out a density may overflow where it is next to nothing.
        ratios = jnp.where(jnp.isnan(ratios), -jnp.inf, ratios)
        total = jax.nn.logsumexp(ratios, axis=0)
        points = log_weight.shape[0]
        second = jax.nn.logsumexp(2.0 * ratios + jnp.log(float(points)), axis=0)
        coarse = jax.nn.logsumexp(ratios[::2], axis=0) + math.log(2.0)
        return total, jnp.expm1(jnp.maximum(second - 2.0 * total, 0.0)), coarse

    return jax.lax.map(at, jnp.asarray(theta_noise))


@eqx.filter_jit
def global_log_weights(
    model: LatentModel,
    guide: Guide,
    variational: Parameters,
    theta_noise: Float[ArrayLike, "draws noise"],
) -> Float[Array, " draws"]:
    r"""$\log p(\theta) - \log q(\theta)$ on the unconstrained scale, in nats."""
    # Where all rows have to be handed over, they are; their locals do not enter.
    rows = None if model.separable else model.data
    z = None if model.separable else model.zeros(model.size)

    def one(noise: Float[Array, " noise"]) -> Float[Array, ""]:
        value = guide.global_family.sample(variational["globals"], noise)
        theta = guide.theta.split(value)
        log_q = guide.global_family.log_density(variational["globals"], value)
        return model.log_prior(theta, z, rows) - log_q

    return jax.lax.map(one, jnp.asarray(theta_noise))


@eqx.filter_jit
def global_values(
    guide: Guide, variational: Parameters, theta_noise: Float[ArrayLike, "draws noise"]
) -> Float[Array, "draws d_theta"]:
    """Unconstrained globals that some noise makes."""
    raw = variational["globals"]
    return jax.vmap(lambda e: guide.global_family.sample(raw, e))(jnp.asarray(theta_noise))


@eqx.filter_jit
def joint_log_weights(
    model: LatentModel,
    guide: Guide,
    variational: Parameters,
    raw: Float[Array, "rows raw"],
    noise: Noise,
) -> Float[Array, " draws"]:
    r"""$\log p(\theta, z, x) - \log q(\theta, z)$ on the unconstrained scale, in nats."""

    def one(noise: Noise) -> Float[Array, ""]:
        theta, z = guide.sample(variational, raw, noise)
        log_q, rows_log_q = guide.log_density(variational, raw, theta, z)
        return model.log_joint(theta, z) - log_q - jnp.sum(rows_log_q)

    # Few at a time: each is an evaluation of all rows, or the solution of an equation.
    together = max(_TOGETHER // (model.size * max(guide.z.dimension, 1)), 1)
    return jax.lax.map(one, noise, batch_size=together)
