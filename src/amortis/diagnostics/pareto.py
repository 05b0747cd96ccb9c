"""Pareto k-hat: whether importance ratios have a tail that averages can be trusted with."""

import math

import numpy as np
from jaxtyping import Float

TRUSTED, USABLE = 0.7, 1.0
"""Below the first, importance weighting corrects q reliably; above the second, it cannot."""

EXACT = -math.inf
"""The k-hat of weights that are all equal: q is the posterior."""

ROUNDING = 1e-4
"""Log weights that spread by less than this, in nats, are equal within 32 bit."""

_BLOCK = 2_000_000


def pareto_k(log_weights: Float[np.ndarray, "*shape draws"]) -> Float[np.ndarray, "*shape"]:
    r"""The shape k of a generalized Pareto distribution fitted to the largest weights.

    The $M = \min(S/5, 3\sqrt{S})$ largest of S weights, less the largest of the rest, are fitted by
    the empirical Bayes estimate of Zhang & Stephens (2009), and k is shrunk towards one half by ten
    observations, as in Vehtari et al. (2024), *Pareto smoothed importance sampling*.

    Args:
        log_weights: log importance ratios, draws last; constants do not matter.

    Returns:
        k-hat for each; `EXACT` where all weights are equal; infinity where one is not finite, or
        NaN where there are fewer than 25 draws.
    """
    flat = np.asarray(log_weights, np.float64).reshape(-1, log_weights.shape[-1])
    draws = flat.shape[1]
    found = np.full(flat.shape[0], np.nan)
    if draws >= 25:
        per_block = max(_BLOCK // (draws * 4), 1)
        for start in range(0, len(flat), per_block):
            found[start : start + per_block] = _fitted(flat[start : start + per_block])
    return found.reshape(log_weights.shape[:-1])


def k_error(draws: int, k: float) -> float:
    """Standard error of k-hat by the asymptotic variance $(1 + k)^2 / M$ of the tail's M draws."""
    return (1.0 + max(k, 0.0)) / math.sqrt(tail_count(draws))


def tail_count(draws: int) -> int:
    """Number of the largest weights that are fitted."""
    return math.ceil(min(0.2 * draws, 3.0 * math.sqrt(draws)))


def _fitted(log_weights: Float[np.ndarray, "rows draws"]) -> Float[np.ndarray, " rows"]:
    rows, draws = log_weights.shape
    tail = tail_count(draws)
    finite = np.all(np.isfinite(log_weights), axis=1)
    usable = np.where(finite[:, None], log_weights, 0.0)
    usable = usable - usable.max(axis=1, keepdims=True)
    largest = np.sort(np.partition(usable, draws - tail - 1, axis=1)[:, draws - tail - 1 :], axis=1)
    cut = np.exp(np.maximum(largest[:, :1], math.log(np.finfo(float).tiny)))
    exceed = np.exp(largest[:, 1:]) - cut
    k = np.empty(rows)
    flat = np.ptp(usable, axis=1) < ROUNDING
    spread = exceed[:, -1] > 1e-12 * cut[:, 0]
    fitted = spread & ~flat
    k[~fitted] = 0.0
    quartile = exceed[fitted, int(tail / 4 + 0.5) - 1]
    k[fitted] = shape_of(exceed[fitted], np.full((1, tail), 1.0 / tail), quartile, tail)
    k = shrunk(k, tail)
    k = np.where(flat, EXACT, k)
    return np.where(finite, k, np.inf)


def shape_of(
    exceed: Float[np.ndarray, "rows tail"],
    mass: Float[np.ndarray, "#rows tail"],
    quartile: Float[np.ndarray, " rows"],
    count: int,
) -> Float[np.ndarray, " rows"]:
    """Zhang & Stephens's estimate of k from exceedances, without the shrinkage.

    Args:
        exceed: exceedances, the largest last; zero where there are fewer.
        mass: their weights in averages, which sum to one for each row.
        quartile: first quartile of the exceedances.
        count: number of observations that the exceedances stand for.
    """
    candidates = 30 + int(math.sqrt(count))
    safe = np.maximum(quartile, 1e-300)
    steps = 1.0 - np.sqrt(candidates / (np.arange(1, candidates + 1) - 0.5))
    theta = steps[None, :] / (3.0 * safe[:, None]) + 1.0 / exceed[:, -1:]

    def shape_at(at: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
        return np.einsum(
            "rt,rt->r", np.log1p(-at[:, None] * exceed), np.broadcast_to(mass, exceed.shape)
        )

    # One candidate after the other, so that nothing of size rows x candidates x tail is held.
    shapes = np.stack([shape_at(at) for at in theta.T], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = count * (np.log(-(theta / shapes)) - shapes - 1.0)
    likelihood = np.where(np.isfinite(likelihood), likelihood, -np.inf)
    weights = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return shape_at(np.sum(theta * weights, axis=1))


def shrunk(k: Float[np.ndarray, " rows"], count: int) -> Float[np.ndarray, " rows"]:
    """Pull k towards one half by ten observations."""
    return (k * count + 0.5 * 10) / (count + 10)
