"""`RowAscent`: rows' own factors by stochastic gradients, where Newton's steps cost too much."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._require import require_count, require_positive
from amortis._types import RandomKey, RowIndex
from amortis.evidence.held import Held
from amortis.evidence.row_draws import blocks_of_rows, drawn, noise_of_rows
from amortis.families import AutoregressiveLayers, Flow
from amortis.guide import Guide
from amortis.model import LatentModel

_FIRST_DECAY, _SECOND_DECAY, _TINY = 0.9, 0.999, 1e-8
_AVERAGED = 0.25
"""Share of the steps, the last ones, over which iterates are averaged."""


class RowAscent(eqx.Module):
    r"""Adam on $\mathcal{L}_n(\nu) = E_{q(z;\nu)}[\log p(x_n, z\mid\hat\theta) - \log q(z;\nu)]$.

    All rows at once, each with draws of its own, new at every step and antithetic in pairs. The
    parameters in $\log q$ are held constant, so that the noise of the gradient vanishes where q is
    the posterior. Steps in means are in units of a frame in which the posterior is
    about as wide in every direction, the rate falls to zero along
    a cosine, and what comes out is the average of the last quarter of the iterates.

    Attributes:
        steps: number of steps.
        draws: draws of each row per step, an even number.
        rate: first learning rate.

    Raises:
        ArgumentError: steps or draws below one, or a rate that is not positive.

    References:
        Cremer, Li & Duvenaud, *Inference suboptimality in variational autoencoders* (2018), who
        optimise each datum's own factor by Adam; Roeder, Wu & Duvenaud, *Sticking the landing*
        (2017).
    """

    steps: int = eqx.field(static=True, default=1000)
    draws: int = eqx.field(static=True, default=16)
    rate: float = eqx.field(static=True, default=0.03)

    def __check_init__(self) -> None:
        require_count("RowAscent", "steps", self.steps)
        require_count("RowAscent", "draws", self.draws)
        require_positive("RowAscent", "rate", self.rate)

    def climbed(
        self, held: Held, root: Float[Array, "rows d d"], key: RandomKey
    ) -> Float[Array, "rows raw"]:
        """Raw parameters of the rows' own factors, from those that they have.

        Args:
            held: the rows, and the factors to start from.
            root: roots of covariances near those of the posteriors, the units of steps in means.
            key: random key.
        """
        pairs = (self.draws + 1) // 2
        found = held.raw
        for place in blocks_of_rows(len(held.index), 2 * pairs * held.width):
            index = jnp.asarray(held.index[place])
            raw = held.raw[place]
            parts = (held.model, held.guide, raw, root[place], index, key)
            better = _climbed(*parts, self.steps, pairs, self.rate)
            found = found.at[place].set(better)
        return found


@eqx.filter_jit
def _climbed(
    model: LatentModel,
    guide: Guide,
    start: Float[Array, "rows raw"],
    root: Float[Array, "rows d d"],
    index: RowIndex,
    key: RandomKey,
    steps: int,
    pairs: int,
    rate: float,
) -> Float[Array, "rows raw"]:
    rows, family = model.rows(index), guide.local_family
    dimension, dtype = guide.z.dimension, start.dtype
    # The inverse of autoregressive layers costs a pass for each coordinate: all derivatives there.
    sticks = not (isinstance(family, Flow) and isinstance(family.layers, AutoregressiveLayers))

    def moved(move: Float[Array, "rows raw"]) -> Float[Array, "rows raw"]:
        # Every family's first numbers are its means.
        shift = jnp.einsum("nij,nj->ni", root, move[:, :dimension])
        return start + jnp.concatenate([shift, move[:, dimension:]], axis=1)

    def elbos(move: Float[Array, "rows raw"], noise: Float[Array, "draws rows d"]) -> Array:
        raw = moved(move)

        def one(noise: Float[Array, "rows d"]) -> Float[Array, " rows"]:
            z, log_q = jax.vmap(lambda r, e: drawn(family, r, e))(raw, noise)
            if sticks:
                log_q = jax.vmap(family.log_density)(jax.lax.stop_gradient(raw), z)
            return model.log_terms({}, guide.z.split(z), rows).local - log_q

        return jnp.sum(jnp.mean(jax.vmap(one)(noise), axis=0))

    def step(
        state: tuple[Array, Array, Array, Array], t: Array
    ) -> tuple[tuple[Array, Array, Array, Array], None]:
        move, first, second, average = state
        half = noise_of_rows(jax.random.fold_in(key, t), index, pairs, dimension).astype(dtype)
        slope = jax.grad(elbos)(move, jnp.concatenate([half, -half]))
        slope = jnp.where(jnp.isfinite(slope), slope, 0.0)
        first = _FIRST_DECAY * first + (1.0 - _FIRST_DECAY) * slope
        second = _SECOND_DECAY * second + (1.0 - _SECOND_DECAY) * jnp.square(slope)
        done = t.astype(dtype)
        up = first / (1.0 - _FIRST_DECAY ** (done + 1.0))
        size = jnp.sqrt(second / (1.0 - _SECOND_DECAY ** (done + 1.0))) + _TINY
        length = rate * 0.5 * (1.0 + jnp.cos(jnp.pi * done / steps))
        move = move + length * up / size
        seen = done - (1.0 - _AVERAGED) * steps
        weight = jnp.where(seen < 0.0, 1.0, 1.0 / (jnp.floor(jnp.maximum(seen, 0.0)) + 1.0))
        return (move, first, second, average + weight * (move - average)), None

    zero = jnp.zeros_like(start)
    last, _ = jax.lax.scan(step, (zero, zero, zero, zero), jnp.arange(steps))
    return moved(last[3])
