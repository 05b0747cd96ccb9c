"""What a change of the rows' factors gains, on draws that both share."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._types import Parameters, RandomKey, RowIndex
from amortis.guide import Guide, Noise
from amortis.model import LatentModel


@eqx.filter_jit
def paired_gains(
    model: LatentModel,
    guide: Guide,
    variational: Parameters,
    before: Float[Array, "batch raw"],
    after: Float[Array, "batch raw"],
    noise: Noise,
    index: RowIndex | None,
) -> Float[Array, "draws batch"]:
    r"""For every draw and row, the gain in the row's part of the ELBO, in nats.

    $\log p(x_n, z_n^*\mid\theta) - \log p(x_n, z_n\mid\theta)$ plus the difference of the
    entropies, where both locals are made of the same noise and see the same globals.

    Args:
        model: a separable model.
        guide: the guide.
        variational: its fitted parameters; those of the globals are used.
        before: raw parameters of the rows' factors.
        after: others.
        noise: fresh noise with a leading axis of draws.
        index: positions of the rows; None for all.
    """
    rows = model.data if index is None else model.rows(index)

    def one(noise: Noise) -> Float[Array, " batch"]:
        theta, z = guide.sample(variational, before, noise)
        _, other = guide.sample(variational, after, noise)
        gained = guide.local_entropy(variational, after, noise) - guide.local_entropy(
            variational, before, noise
        )
        return (
            model.log_terms(theta, other, rows).local - model.log_terms(theta, z, rows).local
        ) + gained

    return jax.vmap(one)(noise)


Seed = Sequence[int]
"""Seeds NumPy's generator: noise is made on the host, since compiling its making costs more."""


def seed_of(key: RandomKey, *place: int) -> Seed:
    """The seed of some purpose, and of some block of rows."""
    return [*np.asarray(jax.random.key_data(key)).tolist(), *place]


def independent_noise(guide: Guide, shared: Seed, own: Seed, draws: int, rows: int) -> Noise:
    """Independent standard normal noise.

    Args:
        guide: tells dimensions.
        shared: seed of the globals' noise, which blocks of rows have in common.
        own: seed of the locals' noise.
        draws: number of draws.
        rows: number of rows.
    """
    dtype = jnp.result_type(float)
    theta = np.random.default_rng(shared).standard_normal((draws, guide.noise_size))
    z = np.random.default_rng(own).standard_normal((draws, rows, guide.z.dimension), np.float32)
    weight = np.full(draws, 1.0 / draws, dtype)
    return Noise(theta.astype(dtype), z.astype(dtype), weight)


def antithetic_noise(guide: Guide, shared: Seed, own: Seed, pairs: int, rows: int) -> Noise:
    """Pairs of noise and its mirror image, mirrored ones in the second half; see above."""
    half = independent_noise(guide, shared, own, pairs, rows)
    theta, z = np.asarray(half.theta), np.asarray(half.z)
    weight = np.full(2 * pairs, 0.5 / pairs, theta.dtype)
    return Noise(np.concatenate([theta, -theta]), np.concatenate([z, -z]), weight)


def mean_and_se(
    values: Float[np.ndarray, "draws *shape"],
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Mean over antithetic draws, and the standard error of the mean of pairs.

    Args:
        values: draws first, mirrored ones in the second half.
    """
    pairs = values.shape[0] // 2
    averages = 0.5 * (values[:pairs] + values[pairs:])
    se = averages.std(axis=0, ddof=1) / math.sqrt(pairs)
    return np.asarray(averages.mean(axis=0)), np.asarray(se)
