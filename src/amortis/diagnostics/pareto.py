"""Pareto k-hat: whether importance ratios have a tail that averages can be trusted with."""

import math

import numpy as np
from jaxtyping import Float

TRUSTED, USABLE = 0.7, 1.0
"""Below the first, importance weighting corrects q reliably; above the second, it cannot."""

EXACT = -math.inf
"""The k-hat of weights that are all equal: q is the posterior."""

_ROUNDING = 1e-4
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
    return (1.0 + max(k, 0.0)) / math.sqrt(_tail(draws))


def _tail(draws: int) -> int:
    return math.ceil(min(0.2 * draws, 3.0 * math.sqrt(draws)))


def _fitted(log_weights: Float[np.ndarray, "rows draws"]) -> Float[np.ndarray, " rows"]:
    rows, draws = log_weights.shape
    tail = _tail(draws)
    finite = np.all(np.isfinite(log_weights), axis=1)
    usable = np.where(finite[:, None], log_weights, 0.0)
    usable = usable - usable.max(axis=1, keepdims=True)
    largest = np.sort(np.partition(usable, draws - tail - 1, axis=1)[:, draws - tail - 1 :], axis=1)
    cut = np.exp(np.maximum(largest[:, :1], math.log(np.finfo(float).tiny)))
    exceed = np.exp(largest[:, 1:]) - cut
    k = np.empty(rows)
    flat = np.ptp(usable, axis=1) < _ROUNDING
    # A tail without spread, as of weights with a bound that many reach, is light.
    spread = exceed[:, -1] > 1e-12 * cut[:, 0]
    fitted = spread & ~flat
    k[~fitted] = 0.0
    k[fitted] = _shape(exceed[fitted])
    k = (k * tail + 0.5 * 10) / (tail + 10)
    k = np.where(flat, EXACT, k)
    return np.where(finite, k, np.inf)


def _shape(exceed: Float[np.ndarray, "rows tail"]) -> Float[np.ndarray, " rows"]:
    """Zhang & Stephens's estimate of k from sorted exceedances, without the shrinkage."""
    count = exceed.shape[1]
    candidates = 30 + int(math.sqrt(count))
    quartile = exceed[:, int(count / 4 + 0.5) - 1]
    safe = np.maximum(quartile, 1e-300)
    steps = 1.0 - np.sqrt(candidates / (np.arange(1, candidates + 1) - 0.5))
    theta = steps[None, :] / (3.0 * safe[:, None]) + 1.0 / exceed[:, -1:]
    # One candidate after the other, so that nothing of size rows x candidates x tail is held.
    shapes = np.stack([np.log1p(-t[:, None] * exceed).mean(axis=1) for t in theta.T], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = count * (np.log(-(theta / shapes)) - shapes - 1.0)
    likelihood = np.where(np.isfinite(likelihood), likelihood, -np.inf)
    weights = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    best = np.sum(theta * weights, axis=1)
    return np.log1p(-best[:, None] * exceed).mean(axis=1)
