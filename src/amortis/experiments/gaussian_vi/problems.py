"""Two fits whose distance to the optimum is known in closed form or by quadrature."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import optimize

import amortis
from amortis.experiments.gaussian_vi.gaussian import correlated_gaussian

DIMENSION = 10

_CORRELATION, _SCALES = 0.5, (0.3, 3.0)
_ROWS, _PRIOR_SD, _NODES = 200, 2.0, 40

Gap = Callable[[Float[np.ndarray, " d"], Float[np.ndarray, " d"]], float]


@dataclasses.dataclass(frozen=True)
class Problem:
    """A model whose best factorized Gaussian is known.

    Attributes:
        name: what it is called.
        model: bound to its data.
        gap: maps means and sds of a factorized Gaussian to how far its ELBO is below the best one,
            in nats, total.
    """

    name: str
    model: amortis.LatentModel
    gap: Gap


def problems() -> tuple[Problem, ...]:
    """Both problems, in ten dimensions."""
    return gaussian_problem(), logistic_problem()


def gaussian_problem() -> Problem:
    r"""Neighbors correlated at 0.5, sds from 0.3 to 3: the gap is KL less the best KL."""
    target = correlated_gaussian(DIMENSION, _CORRELATION, _SCALES)
    return Problem(
        "correlated Gaussian",
        target.model(),
        lambda mean, sds: target.kl_of_factorized(mean, sds) - target.factorized_kl,
    )


def logistic_problem() -> Problem:
    r"""Logistic regression of 200 rows on ten correlated inputs, $u\sim N(0, 2^2)$.

    Under a factorized Gaussian $x_n^\top u$ is normal, so that the ELBO takes one integral per row,
    which Gauss and Hermite's rule gives to all digits that matter.
    """
    x, signs = _rows()
    model = amortis.from_density(
        lambda theta: -0.5 * jnp.sum(jnp.square(theta["u"] / _PRIOR_SD)),
        lambda theta, z, row: -jax.nn.softplus(-row["sign"] * jnp.sum(row["x"] * theta["u"])),
        {"x": jnp.asarray(x, jnp.float32), "sign": jnp.asarray(signs, jnp.float32)},
        globals_={"u": (DIMENSION,)},
        locals_={},
    )
    best = _best(x, signs)
    return Problem(
        "logistic regression", model, lambda mean, sds: best - logistic_elbo(x, signs, mean, sds)
    )


def logistic_elbo(
    x: Float[np.ndarray, "n d"],
    signs: Float[np.ndarray, " n"],
    mean: Float[np.ndarray, " d"],
    sds: Float[np.ndarray, " d"],
) -> float:
    """The ELBO of a factorized Gaussian up to the prior's constant, in nats, total."""
    nodes, weights = _rule()
    center, width = signs * (x @ mean), np.sqrt(np.square(x) @ np.square(sds))
    likelihood = -np.logaddexp(0.0, -(center + width * nodes[:, None]))
    prior = -0.5 * float((np.square(mean) + np.square(sds)).sum()) / _PRIOR_SD**2
    return float(weights @ likelihood.sum(axis=1)) + prior + float(np.log(sds).sum()) + _ENTROPY


_ENTROPY = 0.5 * DIMENSION * math.log(2 * math.pi * math.e)


def _best(x: Float[np.ndarray, "n d"], signs: Float[np.ndarray, " n"]) -> float:
    """The largest ELBO, in double precision."""
    nodes, weights = _rule()
    with jax.enable_x64(True):

        @jax.jit
        def loss_and_slope(point: Array) -> tuple[Array, Array]:
            def loss(point: Array) -> Array:
                mean, log_sds = point[:DIMENSION], point[DIMENSION:]
                squares = jnp.square(jnp.exp(log_sds))
                width = jnp.sqrt(jnp.square(x) @ squares)
                likelihood = -jax.nn.softplus(-(signs * (x @ mean) + width * nodes[:, None]))
                prior = -0.5 * jnp.sum(jnp.square(mean) + squares) / _PRIOR_SD**2
                elbo = jnp.dot(weights, jnp.sum(likelihood, axis=1)) + prior + jnp.sum(log_sds)
                return -elbo - _ENTROPY

            return jax.value_and_grad(loss)(point)

        def on_host(point: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = loss_and_slope(jnp.asarray(point))
            return float(value), np.asarray(slope)

        start = np.concatenate([np.zeros(DIMENSION), np.full(DIMENSION, -1.0)])
        found = optimize.minimize(on_host, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    return -float(found.fun)


def _rule() -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return nodes, weights / weights.sum()


def _rows() -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """Inputs, and outcomes as signs; exact in single precision."""
    generator = np.random.default_rng(7)
    common = generator.normal(size=(_ROWS, 1))
    x = 0.6 * common + 0.8 * generator.normal(size=(_ROWS, DIMENSION))
    x = x.astype(np.float32).astype(np.float64)
    slopes = generator.normal(size=DIMENSION)
    chance = 1.0 / (1.0 + np.exp(-x @ slopes))
    return x, np.where(generator.uniform(size=_ROWS) < chance, 1.0, -1.0)
