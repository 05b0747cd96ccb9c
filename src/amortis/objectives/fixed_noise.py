"""Noise that stays: which rule for which guide, and how it grows.

* One or two latents per row: a tensor Gauss-Hermite rule, the same for all rows, times a short
  symmetric rule for the globals. The product matters: noise that all rows share adds up over rows,
  and any correlation with the globals' noise would be amplified N times.
* Latents that touch those of other rows: one whitened rule over all rows together, so that the
  second moments between rows are right as well. Noise that rows share would be read as correlation.
* No latents of rows at all: one whitened rule for the globals, of four points per dimension.
* A factor that ties coordinates of the globals, or locals to globals, is unbounded in directions
  that no point of the globals has: their rule is whitened whatever it costs.
* More latents: every row gets its own reflection of a short whitened rule, so that errors of single
  rows average over rows, and signs of globals and locals are crossed. Rows with parameters of their
  own fit the draws that they see, so they start with more draws, which grow faster.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._types import RandomKey
from amortis.guide import Guide, Noise

_MOST_GRID_DIMENSIONS = 2
_REFLECTED_FIRST, _OWN_FIRST, _PRODUCT_FIRST = 8, 32, {1: 16, 2: 72}
_FEW_GLOBALS, _PRODUCT_OF_FEW = 8, 8
"""With one latent per row and few globals, four nodes for each of two points of the globals: exact
for Gaussian models, and half the price of eight. Models that are curved leave them after a look or
two (`FixedDraws`). With 28 globals what two points claim is too far off: they start with four, and
have four nodes for a latent up to 256 draws."""

_PRODUCT_NEXT = 64
"""Least draws of a product that another is compared with: of few globals, eight nodes or more."""

_FEWEST_OF_GLOBALS = 32
"""Least draws of globals alone: few latents leave time for a rule that curved models do not fit."""

_MOST_FIRST = 128
_MOST_GLOBAL_POINTS = 64


def first_draws(guide: Guide, coupled: bool) -> int:
    """Number of fixed draws that is worth starting with.

    Args:
        guide: tells dimensions and whether rows share a function.
        coupled: whether latents of different rows touch each other.

    Returns:
        A number of draws, a multiple of four.
    """
    if coupled:
        return coupled_draws(guide.rows * guide.z.dimension + _spread(guide))
    if not guide.z.dimension:
        return max(coupled_draws(_spread(guide)), _FEWEST_OF_GLOBALS)
    if _is_product(guide):
        first = _PRODUCT_OF_FEW if _is_small(guide) else _PRODUCT_FIRST[max(guide.z.dimension, 1)]
        nodes = 4**guide.z.dimension
        return first if guide.is_factorized else max(first, nodes * _spanning(guide))
    # Four points per dimension can be whitened; twice that where signs cross with the globals'.
    whitened = (8 if _spread(guide) else 4) * _power_of_two(guide.z.dimension)
    least = _OWN_FIRST if guide.inference.owns_rows else _REFLECTED_FIRST
    # Four times a power of two that makes the second moments of all noise exact.
    exact = max(whitened, 4 * _power_of_two(_spread(guide)))
    most = _MOST_FIRST if guide.is_factorized else max(_MOST_FIRST, 2 * _spanning(guide))
    return min(max(least, exact), most)


def coupled_draws(dimensions: int) -> int:
    """Draws of one rule over all latents: four points per dimension, which can be whitened."""
    return 4 * _power_of_two(dimensions)


def more_draws(guide: Guide, draws: int, coupled: bool) -> int:
    """The next number of draws: twice as many, or four times.

    Four times where both parts of a product grow (at least 64, from the few that it starts with),
    and where rows fit the draws that they see.

    Args:
        guide: tells whether rows share a function.
        draws: the number of draws now.
        coupled: whether latents of different rows touch each other.

    Returns:
        The next number.
    """
    if coupled or not guide.z.dimension:
        return 2 * draws
    if _is_product(guide):
        return max(4 * draws, _PRODUCT_NEXT)
    return 4 * draws if guide.inference.owns_rows else 2 * draws


def fixed_noise(guide: Guide, key: RandomKey, draws: int, coupled: bool) -> Noise:
    """Noise for all rows of a guide.

    Args:
        guide: tells dimensions, number of rows, and whether rows share a function.
        key: random key of the reflections, which differ from one number of draws to another;
            Gauss-Hermite rules are deterministic.
        draws: number of draws S, a multiple of four.
        coupled: whether latents of different rows touch each other.

    Returns:
        Noise with leading axis S in NumPy arrays; weights sum to one (some may be zero).

    Raises:
        ArgumentError: so few draws that the objective has no maximum.
    """
    _require_spanning(guide, draws)
    if coupled or not guide.z.dimension:
        return _joint_rule(guide, draws)
    if _is_product(guide):
        return _product_rule(guide, draws)
    generator = np.random.default_rng([*np.asarray(jax.random.key_data(key)).tolist(), draws])
    equal = np.full(draws, 1.0 / draws)
    if _spread(guide) == 0:
        z = numerics.reflected(generator, draws, guide.rows, guide.z.dimension)
        return _noise(np.zeros((draws, 0)), z, equal)
    # Half of a symmetric rule has the second moments of the whole.
    quarter = numerics.low_discrepancy(draws // 2, _spread(guide))[: draws // 4]
    half = numerics.reflected(generator, draws // 2, guide.rows, guide.z.dimension)
    theta, z = numerics.crossed(quarter, numerics.shuffled(generator, half))
    return _noise(theta, z, equal)


def _joint_rule(guide: Guide, draws: int) -> Noise:
    """One rule for the globals and the locals of all rows."""
    spread = _spread(guide)
    rule = numerics.low_discrepancy(draws, spread + guide.rows * guide.z.dimension)
    theta = rule[:, :spread]
    z = rule[:, spread:].reshape(draws, guide.rows, guide.z.dimension)
    return _noise(theta, z, np.full(draws, 1.0 / draws))


def _product_rule(guide: Guide, draws: int) -> Noise:
    """The product of a rule for any row's locals and a rule for the globals, on `draws` points."""
    d_theta, d_z = _spread(guide), guide.z.dimension
    global_points = _global_points(guide, draws)
    least = global_points * 2**d_z
    if draws < least:
        # A factor that is seen at its mean only could be widened without end.
        raise ArgumentError(
            f"FixedDraws starts with {draws} draws, but {d_z} local and {_spread(guide)} global "
            f"dimensions need at least {least}; expected more: leave draws out"
        )
    local_points = draws // global_points
    if d_z <= _MOST_GRID_DIMENSIONS:
        nodes = int(local_points ** (1.0 / d_z) + 1e-9)
        z, weights = numerics.gauss_hermite(nodes, d_z)
    else:
        z = numerics.low_discrepancy(2 * (local_points // 2), d_z)
        weights = np.full(len(z), 1.0 / len(z))
    theta = (
        numerics.low_discrepancy(global_points, d_theta)
        if global_points > 1
        else np.zeros((1, d_theta))
    )
    count = len(z) * global_points

    def fill(values: np.ndarray) -> np.ndarray:
        # Points that do not fill the requested number are left at zero with weight zero.
        return np.concatenate([values, np.zeros((draws - count, *values.shape[1:]))])

    return _noise(
        fill(np.tile(theta, (len(z), 1))),
        fill(np.repeat(z, global_points, axis=0))[:, None, :],
        fill(np.repeat(weights, global_points) / global_points),
    )


def _global_points(guide: Guide, draws: int) -> int:
    """Points of the globals' rule: few, since globals are sharp where rows are many."""
    spread = _spread(guide)
    if spread == 0:
        return 1
    exact = 2 * _power_of_two(spread)
    if not guide.is_factorized:
        return max(exact, min(2 * _power_of_two(math.sqrt(draws / 16)), _MOST_GLOBAL_POINTS))
    short = 2 * _power_of_two(math.sqrt(draws / 16))
    # Any multiple of four may be asked for; a symmetric rule has an even number of points. With few
    # globals every number of draws but the first has eight nodes for a latent, or what four nodes
    # claim of it would be compared with four.
    most = 2 * (draws // (16 if _is_small(guide) else 8))
    return max(min(max(exact, short), _MOST_GLOBAL_POINTS, most), 2)


def _require_spanning(guide: Guide, draws: int) -> None:
    if guide.is_factorized or draws >= _spanning(guide):
        return
    raise ArgumentError(
        f"FixedDraws(draws={draws}) is for {guide.theta.dimension} globals with a factor that ties "
        f"them, {guide.tying}; expected at least {_spanning(guide)} draws, since the objective has "
        f"no maximum where draws leave directions out: leave draws out, or use FreshDraws()"
    )


def _spanning(guide: Guide) -> int:
    """Points of the globals that can be whitened, and so leave no direction out."""
    return 2 * _power_of_two(_spread(guide))


def _is_product(guide: Guide) -> bool:
    return guide.z.dimension <= _MOST_GRID_DIMENSIONS


def _is_small(guide: Guide) -> bool:
    """At most one latent per row, and few globals."""
    return guide.z.dimension <= 1 and _spread(guide) <= _FEW_GLOBALS


def _spread(guide: Guide) -> int:
    """Dimensions of the globals that need noise."""
    return guide.noise_size


def _power_of_two(at_least: int | float) -> int:
    return 2 ** math.ceil(math.log2(max(at_least, 1.0)))


def _noise(
    theta: Float[np.ndarray, "draws noise"],
    z: Float[np.ndarray, "draws rows d_z"],
    weight: Float[np.ndarray, " draws"],
) -> Noise:
    dtype = jnp.result_type(float)
    return Noise(theta.astype(dtype), z.astype(dtype), weight.astype(dtype))
