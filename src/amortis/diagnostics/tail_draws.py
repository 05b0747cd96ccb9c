"""k-hat of single rows from few draws, placed so that they reach what many draws would meet."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from amortis import numerics
from amortis.diagnostics.pareto import EXACT, ROUNDING, shape_of, shrunk, tail_count
from amortis.guide import Guide, Noise

NOMINAL_DRAWS = 100_000
"""Draws from q whose k-hat is estimated."""

_UNSEEN = 0.3
"""Mass of the largest ratios, in expected draws among the nominal ones, that these would miss."""

_LIGHT = 1e-2
"""A tail whose largest ratio exceeds its smallest by less than this share is light, whatever the
shape of so little: in 32 bit it is that of rounding."""

_BLOCK = 4_000_000


class TailDraws(NamedTuple):
    r"""Draws of which half come from q and half from q widened.

    Attributes:
        noise: of the globals, and of the locals, which rows share.
        mass: $q(z) / (\tfrac12 q(z) + \tfrac12 q_{wide}(z))$, scaled to sum to one.
    """

    noise: Noise
    mass: Float[np.ndarray, " draws"]


def tail_draws(guide: Guide, seed: Sequence[int], draws: int) -> TailDraws:
    r"""Draws that reach the tails of q.

    A thousand draws from q never meet a second mode four standard deviations out, which a hundred
    thousand do, and which is what k-hat is to warn of. Half of the draws here are $1 + 1/\sqrt d$
    times as wide, with d the dimension of locals and globals together, and each counts as many
    times as often q would draw it.

    Args:
        guide: tells dimensions.
        seed: pairs the globals' noise with the locals'; each is a low-discrepancy rule.
        draws: number of draws, a multiple of four.

    Returns:
        The draws.
    """
    z, theta, mass = tail_rule(guide.z.dimension, guide.noise_size, seed, draws)
    dtype = jnp.result_type(float)
    noise = Noise(theta.astype(dtype), z[:, None, :].astype(dtype), np.ones(draws, dtype))
    return TailDraws(noise, mass)


def tail_rule(
    locals_: int, globals_: int, seed: Sequence[int], draws: int
) -> tuple[
    Float[np.ndarray, "draws d_z"], Float[np.ndarray, "draws noise"], Float[np.ndarray, " draws"]
]:
    """Standard normal noise, half of it widened, and the mass of each draw.

    Args:
        locals_: dimension of a row's locals.
        globals_: dimension of the globals that have a density.
        seed: pairs the two rules.
        draws: number of draws, a multiple of four.
    """
    dimension = locals_ + globals_
    wide = 1.0 + 1.0 / math.sqrt(max(dimension, 1))
    order = np.random.default_rng(seed).permutation(draws // 2)
    half_z = numerics.low_discrepancy(draws // 2, locals_)
    half_theta = numerics.low_discrepancy(draws // 2, globals_)[order]
    z = np.concatenate([half_z, wide * half_z])
    theta = np.concatenate([half_theta, wide * half_theta])
    square = np.sum(z**2, axis=1) + np.sum(theta**2, axis=1)
    # Log density ratio of the widened normal to the standard one.
    log_ratio = 0.5 * square * (1.0 - wide**-2) - dimension * math.log(wide)
    mass = 1.0 / (0.5 + 0.5 * np.exp(log_ratio))
    return z, theta, mass / mass.sum()


def tail_k(
    log_weights: Float[np.ndarray, "rows draws"], mass: Float[np.ndarray, " draws"]
) -> Float[np.ndarray, " rows"]:
    r"""k-hat of each row, as `NOMINAL_DRAWS` from q would give it; see `pareto_k`.

    The tail is the ratios whose mass is $3/\sqrt S$ of the whole, S the nominal number.

    Args:
        log_weights: log importance ratios at `tail_draws`.
        mass: of each draw.

    Returns:
        k-hat; `EXACT` where all ratios are equal, infinity where one is not finite.
    """
    found = np.empty(len(log_weights))
    per_block = max(_BLOCK // log_weights.shape[1], 1)
    for start in range(0, len(log_weights), per_block):
        place = slice(start, start + per_block)
        found[place] = _fitted(log_weights[place], mass)
    return found


def _fitted(
    log_weights: Float[np.ndarray, "rows draws"], mass: Float[np.ndarray, " draws"]
) -> Float[np.ndarray, " rows"]:
    finite = np.all(np.isfinite(log_weights), axis=1)
    usable = np.where(finite[:, None], log_weights, 0.0)
    flat = np.ptp(usable, axis=1) < ROUNDING
    order = np.argsort(usable, axis=1)[:, ::-1]
    largest = np.take_along_axis(usable, order, axis=1)
    of_each = mass[order]
    upto = np.cumsum(of_each, axis=1)
    count = tail_count(NOMINAL_DRAWS)
    seen = upto >= _UNSEEN / NOMINAL_DRAWS
    first = np.argmax(seen, axis=1)
    rows = np.arange(len(usable))
    top = largest[rows, first]
    # What lies beyond the largest that is seen does not count; the tail is counted from there.
    before = upto[rows, first] - of_each[rows, first]
    inside = seen & (upto - before[:, None] <= count / NOMINAL_DRAWS)
    inside[rows, first] = True
    last = np.minimum(first + inside.sum(axis=1), usable.shape[1] - 1)
    cut = np.exp(largest[rows, last] - top)
    most = int((last - first).max(initial=1))
    place = np.minimum(first[:, None] + np.arange(most), usable.shape[1] - 1)
    kept = np.arange(most) < (last - first)[:, None]
    tail = np.take_along_axis(largest, place, axis=1) - top[:, None]
    exceed = np.where(kept, np.exp(tail) - cut[:, None], 0.0)[:, ::-1]
    share = np.where(kept, np.take_along_axis(of_each, place, axis=1), 0.0)[:, ::-1]
    share = share / share.sum(axis=1, keepdims=True)
    below = np.cumsum(share, axis=1) < 0.25
    quartile = exceed[rows, np.minimum(below.sum(axis=1), most - 1)]
    k = np.zeros(len(usable))
    spread = (exceed[:, -1] > _LIGHT * cut) & ~flat
    k[spread] = shape_of(exceed[spread], share[spread], quartile[spread], count)
    k = np.where(flat, EXACT, shrunk(k, count))
    return np.where(finite, k, np.inf)
