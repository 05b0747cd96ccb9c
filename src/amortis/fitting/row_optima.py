r"""The optimal factor of every row, with $q(\theta)$ held: what factorized inference chooses."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from amortis import numerics
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.guide import Guide, Noise
from amortis.model import LatentModel
from amortis.objectives import first_draws, fixed_noise

_ITERATIONS = 30
_SETTLED = 1e-6
"""Nats of a row that a Newton step still promises, below which the row is at its optimum."""

_FIRST_DAMPING, _MOST_DAMPING, _LONGEST = 1e-3, 1e8, 3.0


OPTIMISED_DRAWS = 256
"""Fixed draws on which rows are optimised: those on which factorized inference ends."""

POLISHED_DRAWS = 4096
"""Draws on which optima with three or more latents are found again: on 256 they fit the draws."""

_POLISHING, _MOST_EXACT_DIMENSIONS = 8, 2

_BLOCK_NUMBERS = 4_000_000
"""Draws times rows times local dimensions that are held at once."""


def row_blocks(model: LatentModel, per_row: int) -> list[RowIndex | None]:
    """Positions of rows that are handled together.

    Args:
        model: the model.
        per_row: numbers that are held for each row.

    Returns:
        None alone for all at once; or blocks of one size, which compile once, of which the last
        begins earlier and overlaps the one before.
    """
    most = max(_BLOCK_NUMBERS // per_row, 1)
    if most >= model.size:
        return [None]
    return [
        jnp.arange(most) + min(start, model.size - most) for start in range(0, model.size, most)
    ]


def row_noise(guide: Guide, key: RandomKey, rows: int, draws: int = OPTIMISED_DRAWS) -> Noise:
    """Fixed draws for the optima of so many rows."""
    shape = dataclasses.replace(guide.shape, rows=rows)
    if not guide.is_factorized:
        # As many as span the globals, for each of a few nodes.
        draws = max(draws, first_draws(guide, False))
    return fixed_noise(dataclasses.replace(guide, shape=shape), key, draws, coupled=False)


class RowOptima(NamedTuple):
    """Optimal factors of a batch of rows.

    Attributes:
        raw: raw parameters, one row each.
        settled: whether the search came to rest.
        claimed: what the optimum gains on the draws that it was found on, in nats.
        first_loss: minus each row's part of the ELBO at the start, on those draws.
    """

    raw: Float[Array, "batch raw"]
    settled: Bool[Array, " batch"]
    claimed: Float[Array, " batch"]
    first_loss: Float[Array, " batch"]


def polishing_noise(guide: Guide, draws: int = POLISHED_DRAWS) -> Noise | None:
    """Many draws that all rows share, on which their optima are found again.

    None for one or two latents, whose rule is as good as exact already.

    Args:
        guide: tells dimensions.
        draws: number of draws, a multiple of four.
    """
    if guide.z.dimension <= _MOST_EXACT_DIMENSIONS:
        return None
    spread = guide.noise_size
    z = numerics.low_discrepancy(draws, guide.z.dimension)
    theta = np.zeros((draws, spread))
    if spread:
        # One order for both would tie them: the globals' rule is shuffled against the locals'.
        order = np.random.default_rng(0).permutation(draws)
        theta = numerics.low_discrepancy(draws, spread)[order]
    dtype = jnp.result_type(float)
    weight = np.full(draws, 1.0 / draws)
    return Noise(theta.astype(dtype), z[:, None, :].astype(dtype), weight.astype(dtype))


def polished_rows(
    model: LatentModel,
    guide: Guide,
    variational: Parameters,
    start: Float[Array, "batch raw"],
    noise: Noise | None,
    index: RowIndex | None,
    found: RowOptima,
) -> RowOptima:
    """The optima on the draws of `polishing_noise`, from those that few draws have given.

    Args:
        model: as of `optimal_rows`.
        guide: likewise.
        variational: likewise.
        start: raw parameters from which gains are counted.
        noise: from `polishing_noise`; None leaves the optima as they are.
        index: positions of the rows.
        found: optima on few draws.

    Returns:
        The optima, and what they gain on these draws over `start`.
    """
    if noise is None:
        return found
    parts = (model, guide, variational)
    # As an array the number of steps is no reason to compile again.
    better = optimal_rows(*parts, found.raw, noise, index, jnp.asarray(_POLISHING))
    before = optimal_rows(*parts, start, noise, index, jnp.asarray(0))
    claimed = better.claimed + before.first_loss - better.first_loss
    return better._replace(claimed=claimed)


@eqx.filter_jit
def optimal_rows(
    model: LatentModel,
    guide: Guide,
    variational: Parameters,
    start: Float[Array, "batch raw"],
    noise: Noise,
    index: RowIndex | None,
    iterations: int | Int[Array, ""] = _ITERATIONS,
) -> RowOptima:
    r"""Maximise each row's part of the ELBO over its own factor, by damped Newton steps.

    $\nu_n^* = \arg\max_\nu\, E_{q_0(\theta)} E_{q(z;\nu)}[\log p(x_n, z\mid\theta)] + H[q(z;\nu)]$,
    the expectations on fixed draws. Rows do not touch, so that one gradient of the sum is that of
    every row, and the block of the Hessian of each row takes one derivative per raw parameter. A
    row accepts a step that lowers its own loss; what no step lowers is at rest within rounding.

    Args:
        model: a separable model.
        guide: the guide.
        variational: its fitted parameters; those of the globals are held.
        start: where to start, one row of raw parameters per row of the batch.
        noise: noise of the globals and of the rows' locals, with a leading axis of draws.
        index: positions of the rows; None for all.
        iterations: most steps.

    Returns:
        The optima.
    """
    rows = model.data if index is None else model.rows(index)

    def losses(raw: Float[Array, "batch raw"]) -> Float[Array, " batch"]:
        def one(noise: Noise) -> Float[Array, " batch"]:
            theta, z = guide.sample(variational, raw, noise)
            entropy = guide.local_entropy(variational, raw, noise)
            return model.log_terms(theta, z, rows).local + entropy

        return -jnp.einsum("s,sn->n", jnp.asarray(noise.weight), jax.vmap(one)(noise))

    count, dtype = start.shape[0], start.dtype
    first = _State(
        start,
        losses(start),
        jnp.full(count, _FIRST_DAMPING, dtype),
        jnp.zeros(count, bool),
        jnp.asarray(0),
    )
    last = jax.lax.while_loop(
        lambda state: (state.iteration < iterations) & ~jnp.all(state.settled),
        lambda state: _stepped(state, losses),
        first,
    )
    return RowOptima(last.raw, last.settled, first.loss - last.loss, first.loss)


_Losses = Callable[[Float[Array, "batch raw"]], Float[Array, " batch"]]


def _stepped(state: "_State", losses: _Losses) -> "_State":
    """One damped Newton step of every row that it makes better."""
    slope, hessian = _derivatives(state.raw, losses)
    diagonal = jnp.abs(jnp.diagonal(hessian, axis1=1, axis2=2))
    damping = state.damping[:, None] * jnp.maximum(diagonal, 1e-3)
    damped = hessian + jax.vmap(jnp.diag)(damping)
    move = -jnp.linalg.solve(damped, slope[:, :, None])[:, :, 0]
    downhill = jnp.sum(move * slope, axis=1) < 0
    move = jnp.where(downhill[:, None] & jnp.isfinite(move), move, 0.0)
    longest = jnp.max(jnp.abs(move), axis=1, keepdims=True)
    move = move * jnp.minimum(1.0, _LONGEST / jnp.maximum(longest, 1e-30))
    promised = -0.5 * jnp.sum(move * slope, axis=1)
    raw = state.raw + move
    loss = losses(raw)
    better = loss < state.loss
    damping = jnp.where(better, state.damping / 10.0, state.damping * 10.0)
    return _State(
        jnp.where(better[:, None], raw, state.raw),
        jnp.where(better, loss, state.loss),
        jnp.clip(damping, 1e-8, _MOST_DAMPING),
        (downhill & (promised < _SETTLED)) | (damping > _MOST_DAMPING) | state.settled,
        state.iteration + 1,
    )


def _derivatives(raw: Float[Array, "batch raw"], losses: _Losses) -> tuple[Array, Array]:
    """Each row's gradient, and its block of the Hessian."""
    gradient = jax.grad(lambda values: jnp.sum(losses(values)))

    def along(direction: Float[Array, " raw"]) -> tuple[Array, Array]:
        return jax.jvp(gradient, (raw,), (jnp.broadcast_to(direction, raw.shape),))

    slopes, columns = jax.lax.map(along, jnp.eye(raw.shape[1], dtype=raw.dtype))
    return slopes[0], jnp.moveaxis(columns, 0, 2)


class _State(NamedTuple):
    raw: Float[Array, "batch raw"]
    loss: Float[Array, " batch"]
    damping: Float[Array, " batch"]
    settled: Bool[Array, " batch"]
    iteration: Array
