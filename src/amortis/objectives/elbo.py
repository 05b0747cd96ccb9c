"""The evidence lower bound of a batch of rows, draw by draw."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._types import Parameters, RowIndex, Scalar
from amortis.families import component_draws, components_of
from amortis.guide import Guide, Noise
from amortis.model import LatentModel
from amortis.numerics import tree_sum
from amortis.objectives.gradients import AbstractGradient, Drawn
from amortis.objectives.local_priors import local_priors


def elbo_draws(
    model: LatentModel,
    guide: Guide,
    gradient: AbstractGradient,
    parameters: Parameters,
    noise: Noise,
    index: RowIndex | None,
    raw: Float[Array, "batch raw"] | None = None,
    kl_weight: Scalar | None = None,
) -> Float[Array, " draws"]:
    r"""One unbiased estimate of the ELBO per draw, in nats, total.

    $\log p(\theta_s) + H[q_0] + \frac{N}{B}\sum_{n\in B}\left(\log p(x_n, z_{n,s}\mid\theta_s) +
    H[q(z_n)]\right)$. The weight N/B of a minibatch is applied here and nowhere else.

    Args:
        model: the model.
        guide: the guide.
        gradient: how the entropy enters.
        parameters: the guide's parameters.
        noise: noise with a leading axis of draws.
        index: positions of the batch's rows; None for all rows.
        raw: the rows' raw parameters, where they are known; only the globals' are read then.
        kl_weight: of the divergence of the locals from their prior, where it is not one; of a model
            that tells that prior apart.

    Returns:
        The estimates, shape (draws,). Their mean estimates the ELBO; the prior of globals with
        point estimates counts on the constrained scale (see `Point`).
    """
    if index is None:
        rows, weight = model.data, 1.0
    else:
        rows, weight = model.rows(index), model.size / index.shape[0]
    raw = guide.fitted_raw(parameters, index) if raw is None else raw

    family, of_globals = guide.global_family, parameters["globals"]

    def one(noise: Noise) -> Float[Array, ""]:
        epsilon = jnp.asarray(noise.theta)
        if components_of(family) == 1:
            return at(Drawn(noise, *family.draw(of_globals, epsilon)))
        weights, values, entropies = component_draws(family, of_globals, epsilon)
        return weights @ jax.vmap(lambda v, h: at(Drawn(noise, v, h)))(values, entropies)

    def at(drawn: Drawn) -> Float[Array, ""]:
        theta = guide.theta.split(drawn.theta)
        z = guide.locals_at(parameters, raw, drawn.theta, drawn.noise)
        terms = model.log_terms(theta, z, rows)
        global_entropy, local_entropy = gradient.entropy(guide, parameters, raw, drawn, theta, z)
        log_det = terms.log_det if family.is_density else 0.0
        by_row = terms.local + local_entropy
        if kl_weight is not None:
            less = sum(local_priors(terms).values(), local_entropy)  # minus the divergence
            by_row = by_row - (1.0 - kl_weight) * less
        return terms.prior + log_det + global_entropy + weight * tree_sum(by_row)

    return jax.vmap(one)(noise)
