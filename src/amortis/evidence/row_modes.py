"""Laplace's approximation of each row's posterior: where the search for its factor begins."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._types import RowIndex
from amortis.evidence.held import Held, frames, no_globals, with_family
from amortis.evidence.row_draws import blocks_of_rows
from amortis.families import FullRank, Point, full_rank_raw
from amortis.fitting import optimal_rows
from amortis.guide import Guide, Noise
from amortis.model import LatentModel

_TOGETHER = 16  # evaluations' worth of numbers that a row's Newton steps hold
_LEAST_CURVATURE = 1e-4  # relative to the largest


def at_modes(held: Held) -> Held:
    r"""The rows with normal factors at the modes that climbs from their factors' means find.

    $N(\hat z_n, |H_n|^{-1})$ with H the Hessian of $-\log p(x_n, \cdot\mid\hat\theta)$ and its
    eigenvalues taken by size, which at a mode leaves it as it is.

    Args:
        held: the rows, with any factors.
    """
    dimension = held.guide.z.dimension
    mean = frames(held.family, held.raw, dimension)[0]
    points = with_family(held.guide, Point())
    dtype = mean.dtype
    once = Noise(jnp.zeros((1, 0), dtype), jnp.zeros((1, 1, dimension), dtype), np.ones(1, dtype))
    found = jnp.zeros((len(held.index), FullRank().raw_size(dimension)), dtype)
    for place in blocks_of_rows(len(held.index), _TOGETHER * held.width):
        index = jnp.asarray(held.index[place])
        modes = optimal_rows(held.model, points, no_globals(), mean[place], once, index).raw
        found = found.at[place].set(_laplace(held.model, held.guide, modes, index))
    return held.with_factors(FullRank(), found)


@eqx.filter_jit
def _laplace(
    model: LatentModel, guide: Guide, modes: Float[Array, "rows d"], index: RowIndex
) -> Float[Array, "rows raw"]:
    rows = model.rows(index)

    def slopes(z: Float[Array, "rows d"]) -> Float[Array, "rows d"]:
        return -jax.grad(lambda z: jnp.sum(model.log_terms({}, guide.z.split(z), rows).local))(z)

    def along(direction: Float[Array, " d"]) -> Float[Array, "rows d"]:
        return jax.jvp(slopes, (modes,), (jnp.broadcast_to(direction, modes.shape),))[1]

    unit = jnp.eye(modes.shape[1], dtype=modes.dtype)
    hessian = jnp.moveaxis(jax.lax.map(along, unit), 0, 2)

    def normal(mode: Float[Array, " d"], hessian: Float[Array, "d d"]) -> Float[Array, " raw"]:
        values, vectors = jnp.linalg.eigh(0.5 * (hessian + hessian.T))
        sizes = jnp.abs(values)
        sizes = jnp.maximum(sizes, _LEAST_CURVATURE * jnp.max(sizes, initial=1e-6))
        # The lower root of V diag(1/s) V' is that of R'R by a QR decomposition, signs apart.
        upper = jnp.linalg.qr((vectors / jnp.sqrt(sizes)).T)[1]
        return full_rank_raw(mode, (upper * jnp.sign(jnp.diagonal(upper))[:, None]).T)

    return jax.vmap(normal)(modes, hessian)
