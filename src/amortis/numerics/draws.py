"""Standard normal draws: independent, antithetic, and low-discrepancy rules.

Every function returns draws with the sample axis first. Low-discrepancy rules are antithetic, have
evenly spaced one-dimensional projections, and are rescaled so that their second moments are those
of the standard normal: a quadratic log density is then integrated exactly.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import ndtri, roots_hermitenorm

from amortis._types import RandomKey

_SOBOL_DIMENSIONS = 21201


def antithetic(key: RandomKey, draws: int, shape: tuple[int, ...]) -> Float[Array, "draws ..."]:
    r"""Independent standard normal draws in pairs $\pm\epsilon$.

    Args:
        key: random key.
        draws: how many, at least one; an odd number leaves the last draw without its mirror image.
        shape: shape of one draw.

    Returns:
        Draws of shape (draws, *shape); draw s and draw s + ceil(draws / 2) are mirror images.
    """
    half = (draws + 1) // 2
    first = jax.random.normal(key, (half, *shape))
    return jnp.concatenate([first, -first[: draws - half]])


def low_discrepancy(draws: int, dimension: int) -> Float[np.ndarray, "draws dimension"]:
    r"""A deterministic rule for the standard normal in `dimension` dimensions.

    Half of the points are the first M = draws / 2 points of Sobol's sequence shifted by 1/(4M) in
    every coordinate, the other half their mirror images $1 - u$; the union has evenly spaced
    projections $(j + \tfrac12)/\text{draws}$, mapped through $\Phi^{-1}$. If there are at least
    twice as many points as dimensions the points are whitened, so that
    $\tfrac1S\sum_s \epsilon_s\epsilon_s^\top = I$ exactly; otherwise each coordinate is rescaled.

    Args:
        draws: number of points S, even and at least two; a power of two is best.
        dimension: number of coordinates, at least zero.

    Returns:
        Points of shape (draws, dimension), in double precision, with mean zero.

    References:
        Owen, *Monte Carlo theory, methods and examples*, ch. 15-16.
    """
    return _standardized(ndtri(_uniform_rule(draws, dimension)))


def reflected(
    generator: np.random.Generator, draws: int, rows: int, dimension: int
) -> Float[np.ndarray, "draws rows dimension"]:
    r"""The low-discrepancy rule, reflected at random for each row independently.

    Row n uses $\epsilon_s Q_n$ with the Householder reflection $Q_n = I - 2v_nv_n^\top$, $v_n$
    uniform on the sphere. An orthogonal map keeps what `low_discrepancy` makes exact (mean zero,
    second moments the identity), so that quadratic log densities are integrated exactly in every
    row; the remaining errors differ between rows, and a sum over rows averages them.

    Made on the host: compiling the generation for every number of draws would cost more than it.

    Args:
        generator: NumPy's generator.
        draws: number of points per row S, even and at least two.
        rows: number of rows.
        dimension: number of coordinates of one row.

    Returns:
        Points of shape (draws, rows, dimension), in double precision; the second half mirrors the
        first.
    """
    rule = low_discrepancy(draws, dimension)
    direction = generator.standard_normal((rows, dimension))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    along = rule @ direction.T
    return rule[:, None, :] - 2.0 * along[:, :, None] * direction


def crossed(
    theta: Float[np.ndarray, "quarter d_theta"], z: Float[np.ndarray, "half rows d_z"]
) -> tuple[Float[np.ndarray, "draws d_theta"], Float[np.ndarray, "draws rows d_z"]]:
    r"""Pair noise of globals and locals so that both signs of one meet both signs of the other.

    The draws are $(\pm\theta_s, \pm z_s)$ with all four combinations. Every product of an odd
    function of the globals' noise with an odd function of any row's noise then averages to zero
    exactly. Without it the sds of sharp globals are off by a factor $1 + O(S^{-1/2})$ however many
    rows there are, because the noise of the rows tilts the objective along the globals' few draws.

    Args:
        theta: a quarter of the draws of the globals; the rest are made by reflection.
        z: half of the draws of the locals, antithetic: the second half mirrors the first.

    Returns:
        Noise of the globals and of the locals with S draws each.
    """
    return np.concatenate([theta, -theta, -theta, theta]), np.concatenate([z, z])


def shuffled(
    generator: np.random.Generator, rule: Float[np.ndarray, "draws rows dimension"]
) -> Float[np.ndarray, "draws rows dimension"]:
    r"""An antithetic rule whose points come in another order for each row.

    Rules of globals and locals that are made of the same low-discrepancy sequence grow together:
    where the globals' point is far out, every row's would be too, and the mean of
    $\theta^2 z_n^2$ over rows and draws would stay off one however many there are. With an order of
    its own for each row these errors differ between rows, and a sum over rows averages them.

    Args:
        generator: NumPy's generator.
        rule: points by row; the second half mirrors the first.

    Returns:
        The same points of each row, mirrored as before.
    """
    half, rows = rule.shape[0] // 2, rule.shape[1]
    order = np.argsort(generator.random((half, rows)), axis=0)
    first = np.take_along_axis(rule[:half], order[:, :, None], axis=0)
    return np.concatenate([first, -first])


def gauss_hermite(
    nodes: int, dimension: int
) -> tuple[Float[np.ndarray, "points dimension"], Float[np.ndarray, " points"]]:
    r"""The tensor Gauss-Hermite rule for the standard normal.

    Exact for polynomials of degree 2 nodes - 1 in each coordinate. For one smooth integral in one
    or two dimensions, which is what a row with one or two latents asks for, it needs far fewer
    points than any rule with equal weights, whose tails are too short at a few dozen points.

    Args:
        nodes: nodes per coordinate, at least one.
        dimension: number of coordinates, small: the rule has nodes ** dimension points.

    Returns:
        Points of shape (nodes ** dimension, dimension) and their weights, which sum to one.
    """
    x, w = roots_hermitenorm(nodes)  # NumPy's own overflows from a few hundred nodes on
    w = w / w.sum()
    grid = np.meshgrid(*[x] * dimension, indexing="ij")
    weights = np.meshgrid(*[w] * dimension, indexing="ij")
    points = np.stack([axis.ravel() for axis in grid], axis=1)
    return points, np.prod(np.stack([axis.ravel() for axis in weights]), axis=0)


def _uniform_rule(draws: int, dimension: int) -> Float[np.ndarray, "draws dimension"]:
    half = draws // 2
    points = _sobol(half, dimension) + 0.25 / half
    return np.concatenate([points, 1.0 - points])


@functools.lru_cache(maxsize=64)
def _sobol(points: int, dimension: int) -> Float[np.ndarray, "points dimension"]:
    if dimension == 0:
        return np.zeros((points, 0))
    known = min(dimension, _SOBOL_DIMENSIONS)
    exponent = int(np.ceil(np.log2(points))) if points > 1 else 0
    # scipy.stats takes longer to import than all of amortis: only who needs it waits for it.
    from scipy.stats import qmc

    base = qmc.Sobol(known, scramble=False).random_base2(exponent)[:points]
    # Beyond Sobol's table the coordinates repeat in another order: still evenly spaced in each one.
    repeats = -(-dimension // known)
    generator = np.random.default_rng(0)
    blocks = [base] + [base[generator.permutation(points)] for _ in range(repeats - 1)]
    return np.concatenate(blocks, axis=1)[:, :dimension]


def _standardized(points: Float[np.ndarray, "draws d"]) -> Float[np.ndarray, "draws d"]:
    draws, dimension = points.shape
    if dimension == 0:
        return points
    if draws >= 2 * dimension:
        # The nearest rule whose second moments are the identity: the polar factor of one half.
        # Short of 4 d points some of Sobol's coordinates coincide; the jitter parts them.
        jitter = np.random.default_rng(0).standard_normal((draws // 2, dimension))
        left, _, right = np.linalg.svd(points[: draws // 2] + 1e-9 * jitter, full_matrices=False)
        half = np.sqrt(draws / 2) * (left @ right)
        return np.concatenate([half, -half])
    return points / np.sqrt(np.mean(points**2, axis=0))
