"""`AnnealedImportanceSampling`: the evidence of each row along a path from q to its posterior."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._require import require_count
from amortis._types import RandomKey, RowIndex
from amortis.evidence.held import Held, frames
from amortis.evidence.path_moves import Path, Place, moved
from amortis.evidence.row_draws import blocks_of_rows, noise_of_rows
from amortis.evidence.weighed import AbstractEvidenceMethod, Weighed
from amortis.guide import Guide
from amortis.model import LatentModel

_SLOPE = 4.0
"""Of the logistic curve that spaces temperatures: most of them near the ends of the path."""

_WANTED, _FIRST_LENGTH, _FIRST_MOVES = 0.65, 0.5, 30
_FIRST_GAIN, _GAIN, _WARM_CHAINS = 0.5, 0.2, 8
"""How step lengths follow the acceptance of a few chains that are then thrown away."""

_LENGTHS = (-7.0, 1.0)
"""Logarithms of the shortest and the longest step, in units of q."""


class AnnealedImportanceSampling(AbstractEvidenceMethod):
    r"""$\log w_n = \sum_t(\beta_t - \beta_{t-1})\,[\log p(x_n, z_{t-1}) - \log q(z_{t-1})]$.

    $z_0\sim q$, and $z_t$ comes from $z_{t-1}$ by a Hamiltonian move that leaves
    $\pi_{\beta_t}\propto q^{1-\beta_t}\,p(x_n,\cdot\mid\hat\theta)^{\beta_t}$ as it is. The mean of
    w over chains is unbiased for $p(x_n\mid\hat\theta)$, and its logarithm a lower bound in
    expectation, which more temperatures make tight even where q is poor.

    Each row has step lengths of its own, one for each temperature, that are led to an acceptance
    of 0.65 on chains which are thrown away: those that count take them as given, so that adapting
    costs no bias.

    Attributes:
        temperatures: T, steps of the path, spaced by a logistic curve.
        chains: for each row.
        leapfrog: steps of each move.

    Raises:
        ArgumentError: a number below one.

    References:
        Neal, *Annealed importance sampling* (2001); Wu, Burda, Salakhutdinov & Grosse, *On the
        quantitative analysis of decoder-based generative models* (2017).
    """

    temperatures: int = eqx.field(static=True, default=200)
    chains: int = eqx.field(static=True, default=16)
    leapfrog: int = eqx.field(static=True, default=5)

    def __check_init__(self) -> None:
        for name in ("temperatures", "chains", "leapfrog"):
            require_count("AnnealedImportanceSampling", name, getattr(self, name))

    @property
    def betas(self) -> Float[np.ndarray, " steps"]:
        r"""$\beta_0 = 0, \dots, \beta_T = 1$."""
        at = np.linspace(-_SLOPE, _SLOPE, self.temperatures + 1)
        curve = 1.0 / (1.0 + np.exp(-at))
        return np.asarray((curve - curve[0]) / (curve[-1] - curve[0]))

    def weigh(self, held: Held, key: RandomKey) -> Weighed:
        found = Weighed.empty(len(held.index))
        for place in blocks_of_rows(len(held.index), self.chains * held.width):
            index = jnp.asarray(held.index[place])
            path = _path(held.model, held.guide, held.raw[place], index)
            betas = jnp.asarray(self.betas, path.raw.dtype)
            # Moves of different blocks must not share noise, or errors of rows would add up.
            warm, real = jax.random.split(jax.random.fold_in(key, int(place[0])))
            few = min(self.chains, _WARM_CHAINS)
            lengths = _lengths(path, betas, index, warm, few, self.leapfrog)
            weights, acceptance = _annealed(
                path, betas, lengths, index, real, self.chains, self.leapfrog
            )
            found.put(place, np.asarray(weights, np.float64))
            found.acceptance[place] = np.asarray(acceptance)
        return found


@eqx.filter_jit
def _path(model: LatentModel, guide: Guide, raw: Float[Array, "rows raw"], index: RowIndex) -> Path:
    mean, root = frames(guide.local_family, raw, guide.z.dimension)
    return Path(model, guide, model.rows(index), raw, mean, root)


@eqx.filter_jit
def _lengths(
    path: Path,
    betas: Float[Array, " steps"],
    index: RowIndex,
    key: RandomKey,
    chains: int,
    leapfrog: int,
) -> Float[Array, "temperatures rows"]:
    """Step lengths for every temperature and row, from chains that count for nothing else."""
    dtype, dimension = path.raw.dtype, path.mean.shape[1]
    start = noise_of_rows(jax.random.fold_in(key, 0), index, chains, dimension).astype(dtype)

    def one(
        state: tuple[Place, Array], xs: tuple[Array, Array, RandomKey]
    ) -> tuple[tuple[Place, Array], Array]:
        places, log_length = state
        beta, gain, key = xs
        length = jnp.exp(log_length)
        each = jax.vmap(lambda place, k: moved(path, place, beta, length, k, leapfrog))
        places, chance = each(places, jax.random.split(key, chains))
        changed = log_length + gain * (jnp.mean(chance, axis=0) - _WANTED)
        return (places, jnp.clip(changed, *_LENGTHS)), length

    # At the first temperature until the lengths fit, then along the path.
    first = jnp.full(_FIRST_MOVES, betas[1])
    gains = [jnp.full(_FIRST_MOVES, _FIRST_GAIN), jnp.full(betas.shape[0] - 1, _GAIN)]
    along = jnp.concatenate([first, betas[1:]])
    keys = jax.random.split(jax.random.fold_in(key, 1), along.shape[0])
    log_length = jnp.full(index.shape[0], math.log(_FIRST_LENGTH), dtype)
    begun = (jax.vmap(path.started)(start), log_length)
    xs = (along, jnp.concatenate(gains).astype(dtype), keys)
    return jax.lax.scan(one, begun, xs)[1][_FIRST_MOVES:]


@eqx.filter_jit
def _annealed(
    path: Path,
    betas: Float[Array, " steps"],
    lengths: Float[Array, "temperatures rows"],
    index: RowIndex,
    key: RandomKey,
    chains: int,
    leapfrog: int,
) -> tuple[Float[Array, "chains rows"], Float[Array, " rows"]]:
    """Log weights of the chains, and the mean acceptance of each row."""
    dtype, dimension = path.raw.dtype, path.mean.shape[1]
    start = noise_of_rows(jax.random.fold_in(key, 0), index, chains, dimension).astype(dtype)

    def one(
        state: tuple[Place, Array], xs: tuple[Array, Array, Array, RandomKey]
    ) -> tuple[tuple[Place, Array], Array]:
        places, weights = state
        before, beta, length, key = xs
        weights = weights + (beta - before) * (places.log_p - places.log_q)
        each = jax.vmap(lambda place, k: moved(path, place, beta, length, k, leapfrog))
        places, chance = each(places, jax.random.split(key, chains))
        return (places, weights), jnp.mean(chance, axis=0)

    keys = jax.random.split(jax.random.fold_in(key, 1), betas.shape[0] - 1)
    begun = (jax.vmap(path.started)(start), jnp.zeros((chains, index.shape[0]), dtype))
    (_, weights), chances = jax.lax.scan(one, begun, (betas[:-1], betas[1:], lengths, keys))
    return weights, jnp.mean(chances, axis=0)
