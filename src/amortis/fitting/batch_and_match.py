"""`BatchAndMatch`: a normal whose scores match those of the posterior, in closed form steps."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import NonFiniteDensityError, NotAnOptimumError
from amortis._require import require_count
from amortis._types import RandomKey
from amortis.families import FullRank
from amortis.fitting.approximation import (
    AbstractApproximation,
    Found,
    LogDensity,
    slopes_at,
)
from amortis.fitting.laplace import settled
from amortis.fitting.start_points import highest_point
from amortis.optimise import Status

_SETTLED, _LOOKED, _AVERAGED = 0.02, 10, 0.5
_START_SD = 0.1


class BatchAndMatch(AbstractApproximation):
    r"""Score-based variational inference with a full-rank normal.

    Minimises $E_q\,\|\nabla\log q - \nabla\log p\|^2_{\Sigma}$ instead of a divergence of
    densities: a batch of scores is drawn from q, and the next q is the proximal one,
    $\arg\min_{q'} \hat D(q'; p) + \tfrac2\lambda KL(q_t\,\|\,q')$, which for normals has a
    closed form. Steps do not depend on the scale of the latents, there is no rate to tune, and on
    a Gaussian posterior a batch larger than d is nearly exact at once. Of a skewed one the normal
    is another than the ELBO's. It begins at the Laplace approximation, since scores of a normal
    that is too wide or elsewhere say little of the posterior. The result is the average of the last
    half of the iterates.

    Attributes:
        iterations: most iterations.
        batch: scores per iteration; by default twice as many as dimensions, at least 32.

    Raises:
        ArgumentError: a number below one.

    References:
        Cai, Modi, Pillaud-Vivien, Margossian, Gower, Blei & Saul, *Batch and match: black-box
        variational inference with a score-based divergence* (2024), algorithm 1.
    """

    iterations: int = eqx.field(static=True, default=200)
    batch: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        require_count("BatchAndMatch", "iterations", self.iterations)
        if self.batch is not None:
            require_count("BatchAndMatch", "batch", self.batch)

    def find(self, log_density: LogDensity, dimension: int, *, key: RandomKey) -> Found:
        """Iterate until the normal moves no more than its noise.

        Args:
            log_density: of unconstrained vectors, in nats up to a constant.
            dimension: length of the vectors.
            key: random key.

        Raises:
            NonFiniteDensityError: no score of a batch is finite.
        """
        size = max(2 * dimension, 32) if self.batch is None else self.batch
        mean, covariance = _start(log_density, highest_point(log_density, dimension, key))
        trace: list[tuple[np.ndarray, np.ndarray]] = []
        for t in range(self.iterations):
            (noise,) = numerics.normals(numerics.forked(key, t), [(size, dimension)])
            root = np.linalg.cholesky(covariance)
            drawn = mean + np.asarray(noise, np.float64) @ root.T
            slopes = np.asarray(
                slopes_at(log_density, jnp.asarray(drawn, jnp.result_type(float))), np.float64
            )
            usable = np.isfinite(slopes).all(axis=1)
            if not usable.any():
                raise NonFiniteDensityError(
                    f"none of {size} scores is finite in iteration {t} of BatchAndMatch(); "
                    f"expected a density that is finite around unconstrained zero: rescale the data"
                )
            step = size * dimension / (t + 1.0)
            mean, covariance = _matched(mean, covariance, drawn[usable], slopes[usable], step)
            trace.append((mean, covariance))
            if t % _LOOKED == _LOOKED - 1 and _is_settled(trace):
                break
        status = Status.CONVERGED if _is_settled(trace) else Status.ITERATIONS_EXHAUSTED
        mean, covariance = _average(trace)
        family, dtype = FullRank(), jnp.result_type(float)
        root = jnp.asarray(np.linalg.cholesky(covariance), dtype)
        raw = family.gaussian(jnp.asarray(mean, dtype), root)
        return Found(family, raw, status, len(trace) * size)


def _start(
    log_density: LogDensity, point: Float[Array, " d"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """The Laplace approximation; around the highest point a narrow normal where there is none."""
    try:
        mode, root, _ = settled(log_density, point)
    except NotAnOptimumError:
        return np.asarray(point, np.float64), _START_SD**2 * np.eye(len(point))
    scale = np.asarray(root, np.float64)
    return np.asarray(mode, np.float64), scale @ scale.T


def _matched(
    mean: Float[np.ndarray, " d"],
    covariance: Float[np.ndarray, "d d"],
    drawn: Float[np.ndarray, "batch d"],
    scores: Float[np.ndarray, "batch d"],
    step: float,
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """The proximal update; the covariance solves S U S + S = V."""
    center, slope = drawn.mean(axis=0), scores.mean(axis=0)
    of_drawn = (drawn - center).T @ (drawn - center) / len(drawn)
    of_scores = (scores - slope).T @ (scores - slope) / len(drawn)
    share = step / (1.0 + step)
    apart = mean - center
    u = step * of_scores + share * np.outer(slope, slope)
    v = covariance + step * of_drawn + share * np.outer(apart, apart)
    # With V = R R' the solution is 2 R (I + (I + 4 R' U R)^1/2)^-1 R', which is symmetric.
    root = np.linalg.cholesky(0.5 * (v + v.T))
    values, vectors = np.linalg.eigh(root.T @ u @ root)
    inner = 2.0 / (1.0 + np.sqrt(1.0 + 4.0 * np.maximum(values, 0.0)))
    turned = root @ vectors
    found = (turned * inner) @ turned.T
    return mean / (1.0 + step) + share * (found @ slope + center), 0.5 * (found + found.T)


def _average(
    trace: list[tuple[np.ndarray, np.ndarray]],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    kept = trace[int(len(trace) * _AVERAGED) :]
    return np.mean([m for m, _ in kept], axis=0), np.mean([c for _, c in kept], axis=0)


def _is_settled(trace: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether averages of two stretches agree to a fiftieth of an sd, and sds to a fiftieth."""
    if len(trace) < 2 * _LOOKED:
        return False
    half = len(trace) // 2
    first, second = trace[len(trace) // 4 : half], trace[half:]
    before, now = (np.mean([m for m, _ in part], axis=0) for part in (first, second))
    old, new = (np.sqrt(np.mean([np.diagonal(c) for _, c in p], axis=0)) for p in (first, second))
    moved = bool((np.abs(now - before) < _SETTLED * new).all())
    return moved and bool((np.abs(new / old - 1.0) < _SETTLED).all())
