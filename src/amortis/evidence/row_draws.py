"""Log weights of independent draws of rows' factors, streamed: draws in chunks, rows in blocks."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from amortis._types import RandomKey, RowIndex
from amortis.evidence.held import Held
from amortis.families import AbstractFamily, Flow
from amortis.guide import Guide
from amortis.model import LatentModel

BLOCK_NUMBERS = 4_000_000
"""Numbers held at once: draws times rows times the width of a row."""

_TOGETHER, _CHUNKS = 16, 8
"""Draws of a row that are evaluated together, and how often that is done by one call: the same
program serves all numbers of draws, and a row's draws depend on nothing but its position."""


def blocks_of_rows(count: int, per_row: int) -> Iterator[Int[np.ndarray, " block"]]:
    """Places of rows that are handled together, in blocks of one size, which compile once.

    Args:
        count: number of rows.
        per_row: numbers that are held for each.

    Yields:
        Places; those of the last block begin earlier and overlap the block before.
    """
    most = min(max(BLOCK_NUMBERS // max(per_row, 1), 1), count)
    for start in range(0, count, most):
        yield np.arange(most) + min(start, count - most)


def log_weights(
    held: Held, key: RandomKey, draws: int, mirrored: bool = False
) -> Iterator[tuple[Int[np.ndarray, " block"], Float[np.ndarray, "draws block"]]]:
    r"""$\log p(x_n, z_{ns}\mid\hat\theta) - \log q(z_{ns})$ at draws of each row's factor, in nats.

    Each row has noise of its own, which its position in the data decides: the same key gives the
    same noise whichever rows are asked for, and whatever the family of the factors is.

    Args:
        held: the rows and their factors.
        key: random key.
        draws: number of draws.
        mirrored: whether draws come in antithetic pairs, mirrored ones in the second half.

    Yields:
        Places of a block of rows, and their log weights in double precision.
    """
    half = draws // 2 if mirrored else draws
    calls = -(-half // (_TOGETHER * _CHUNKS))
    for place in blocks_of_rows(len(held.index), _TOGETHER * held.width * (1 + mirrored)):
        index = jnp.asarray(held.index[place])
        parts = (held.model, held.guide, held.raw[place], index, key)
        found = [np.asarray(_in_chunks(*parts, jnp.asarray(i), mirrored)) for i in range(calls)]
        # Chunks, signs, draws, rows.
        values = np.moveaxis(np.concatenate(found).astype(np.float64), 1, 0)
        each = values.reshape(1 + mirrored, -1, len(place))[:, :half]
        yield place, each.reshape(-1, len(place))


def drawn(
    family: AbstractFamily, raw: Float[Array, " raw"], noise: Float[Array, " d"]
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """A draw of a factor and its log density there, which a flow knows without its inverse."""
    if isinstance(family, Flow):
        value, entropy = family.draw(raw, noise)
        return value, -entropy
    value = family.sample(raw, noise)
    return value, family.log_density(raw, value)


def noise_of_rows(
    key: RandomKey, index: RowIndex, draws: int, dimension: int
) -> Float[Array, "draws rows d"]:
    """Standard normal noise for rows of the data, each from its position."""
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(index)
    each = jax.vmap(lambda k: jax.random.normal(k, (draws, dimension)))(keys)
    return jnp.swapaxes(each, 0, 1)


@eqx.filter_jit
def _in_chunks(
    model: LatentModel,
    guide: Guide,
    raw: Float[Array, "rows raw"],
    index: RowIndex,
    key: RandomKey,
    call: Int[Array, ""],
    mirrored: bool,
) -> Float[Array, "chunks signs together rows"]:
    rows = model.rows(index)
    signs = jnp.asarray([1.0, -1.0] if mirrored else [1.0], raw.dtype)

    def one(noise: Float[Array, "rows d"]) -> Float[Array, " rows"]:
        z, log_q = jax.vmap(lambda r, e: drawn(guide.local_family, r, e))(raw, noise)
        return model.log_terms({}, guide.z.split(z), rows).local - log_q

    def chunk(i: Array) -> Float[Array, "signs together rows"]:
        noise = noise_of_rows(
            jax.random.fold_in(key, i), index, _TOGETHER, guide.z.dimension
        ).astype(raw.dtype)
        return jax.vmap(lambda sign: jax.vmap(one)(sign * noise))(signs)

    return jax.lax.map(chunk, _CHUNKS * call + jnp.arange(_CHUNKS))
