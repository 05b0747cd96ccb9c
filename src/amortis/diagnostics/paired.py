"""What a change of the rows' factors gains, on draws that both share."""

import math

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
    entropy = jax.vmap(guide.local_family.entropy)
    gained = entropy(after) - entropy(before)

    def one(noise: Noise) -> Float[Array, " batch"]:
        theta, z = guide.sample(variational, before, noise)
        _, other = guide.sample(variational, after, noise)
        return (
            model.log_terms(theta, other, rows).local - model.log_terms(theta, z, rows).local
        ) + gained

    return jax.vmap(one)(noise)


def antithetic_noise(
    key: RandomKey, guide: Guide, globals_key: RandomKey, pairs: int, rows: int
) -> Noise:
    """Independent pairs of noise and its mirror image, pairs next to each other's halves.

    Args:
        key: of the locals' noise.
        guide: tells dimensions.
        globals_key: of the globals' noise, which blocks of rows have in common.
        pairs: number of pairs; there are twice as many draws, mirrored ones in the second half.
        rows: number of rows.
    """
    half = independent_noise(key, guide, globals_key, pairs, rows)
    theta, z = jnp.asarray(half.theta), jnp.asarray(half.z)
    return Noise.equal(jnp.concatenate([theta, -theta]), jnp.concatenate([z, -z]))


def independent_noise(
    key: RandomKey, guide: Guide, globals_key: RandomKey, draws: int, rows: int
) -> Noise:
    """Independent noise; see `antithetic_noise`."""
    theta = jax.random.normal(globals_key, (draws, guide.theta.dimension))
    return Noise.equal(theta, jax.random.normal(key, (draws, rows, guide.z.dimension)))


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
