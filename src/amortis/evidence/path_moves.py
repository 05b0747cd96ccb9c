r"""Hamiltonian moves along the geometric path from q to the posterior, for all rows at once.

Everything is in units of q: $z = m_n + L_n u$ with the mean of the row's factor and the root of its
covariance, in which both ends of the path have a scale near one.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from amortis._types import RandomKey, Rows
from amortis.guide import Guide
from amortis.model import LatentModel

_JITTER = 0.2
"""Share by which step lengths vary from move to move, so that no orbit closes every time."""


class Place(NamedTuple):
    r"""Where one chain of every row is, with what is known there.

    Attributes:
        u: in units of q.
        log_p: $\log p(x_n, z\mid\hat\theta)$.
        log_q: of the row's factor.
        slope_p: the derivative of the one in u.
        slope_q: of the other.
    """

    u: Float[Array, "rows d"]
    log_p: Float[Array, " rows"]
    log_q: Float[Array, " rows"]
    slope_p: Float[Array, "rows d"]
    slope_q: Float[Array, "rows d"]


class Path(eqx.Module):
    r"""$\log\pi_\beta = (1-\beta)\log q + \beta\log p(x_n, \cdot\mid\hat\theta)$ of some rows.

    Attributes:
        model: the model with the globals held.
        guide: gives the family.
        rows: the rows' data.
        raw: raw parameters of their factors.
        mean: of the factors.
        root: of their covariances.
    """

    model: LatentModel
    guide: Guide
    rows: Rows
    raw: Float[Array, "rows raw"]
    mean: Float[Array, "rows d"]
    root: Float[Array, "rows d d"]

    def at(self, u: Float[Array, "rows d"]) -> Place:
        """Evaluate both ends of the path, and their slopes.

        Args:
            u: in units of q.
        """
        family, layout = self.guide.local_family, self.guide.z

        def z_of(u: Float[Array, "rows d"]) -> Float[Array, "rows d"]:
            return self.mean + jnp.einsum("nij,nj->ni", self.root, u)

        def log_p(u: Float[Array, "rows d"]) -> tuple[Array, Array]:
            each = self.model.log_terms({}, layout.split(z_of(u)), self.rows).local
            return jnp.sum(each), each

        def log_q(u: Float[Array, "rows d"]) -> tuple[Array, Array]:
            each = jax.vmap(family.log_density)(self.raw, z_of(u))
            return jnp.sum(each), each

        (_, of_p), slope_p = jax.value_and_grad(log_p, has_aux=True)(u)
        (_, of_q), slope_q = jax.value_and_grad(log_q, has_aux=True)(u)
        return Place(u, of_p, of_q, slope_p, slope_q)

    def started(self, noise: Float[Array, "rows d"]) -> Place:
        """A draw of q for every row."""
        z = jax.vmap(self.guide.local_family.sample)(self.raw, noise)
        solve = jax.vmap(lambda root, v: solve_triangular(root, v, lower=True))
        return self.at(solve(self.root, z - self.mean))


def moved(
    path: Path,
    place: Place,
    beta: Float[Array, ""],
    length: Float[Array, " rows"],
    key: RandomKey,
    leapfrog: int,
) -> tuple[Place, Float[Array, " rows"]]:
    r"""One Hamiltonian move of every row that leaves $\pi_\beta$ as it is.

    Args:
        path: the path.
        place: where the rows are.
        beta: inverse temperature, from 0 at q to 1 at the posterior.
        length: step length of each row, in units of q.
        key: random key.
        leapfrog: steps of the leapfrog integrator.

    Returns:
        Where they are then, and the probabilities with which the moves were accepted.

    References:
        Neal, *MCMC using Hamiltonian dynamics* (2011).
    """
    momentum_key, accept_key, jitter_key = jax.random.split(key, 3)
    dtype = place.u.dtype
    momentum = jax.random.normal(momentum_key, place.u.shape, dtype)
    jitter = jax.random.uniform(jitter_key, length.shape, dtype, 1.0 - _JITTER, 1.0 + _JITTER)
    step = (jitter * length)[:, None]

    def slope(at: Place) -> Float[Array, "rows d"]:
        return (1.0 - beta) * at.slope_q + beta * at.slope_p

    def energy(at: Place, momentum: Float[Array, "rows d"]) -> Float[Array, " rows"]:
        log_pi = (1.0 - beta) * at.log_q + beta * at.log_p
        return 0.5 * jnp.sum(jnp.square(momentum), axis=1) - log_pi

    def one(state: tuple[Place, Array], _: None) -> tuple[tuple[Place, Array], None]:
        at, p = state
        p = p + 0.5 * step * slope(at)
        at = path.at(at.u + step * p)
        return (at, p + 0.5 * step * slope(at)), None

    (end, last), _ = jax.lax.scan(one, (place, momentum), None, length=leapfrog)
    change = energy(place, momentum) - energy(end, last)
    chance = jnp.where(jnp.isfinite(change), jnp.exp(jnp.minimum(change, 0.0)), 0.0)
    taken = jax.random.uniform(accept_key, chance.shape, dtype) < chance

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(taken.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, end, place), chance
