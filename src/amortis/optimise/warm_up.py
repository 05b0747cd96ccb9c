"""Steps along a sequence of losses, each a start for the next."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from amortis._types import Parameters, RandomKey
from amortis.optimise.batches import Epochs, seed_of
from amortis.optimise.constant_rate import ConstantRate
from amortis.optimise.fresh_draws import FreshDraws
from amortis.optimise.fresh_walk import advance_walk, first_walk
from amortis.optimise.interface import AbstractMethod, StochasticLoss

_ADAM = optax.chain(optax.scale_by_adam(), optax.scale(-1.0))
"""Made once: a transformation is a set of closures, and new ones would compile everything again."""

_DRAWS, _MOST_ROWS = 2, 1024


def warmed_up(
    method: AbstractMethod,
    losses: Sequence[StochasticLoss],
    starts: Parameters,
    *,
    key: RandomKey,
    steps: int,
    rate: float,
) -> Parameters:
    """Take as many steps of Adam on each loss in turn.

    No rule stops them: what the losses are is decided before, and the loss may well rise from one
    to the next. A step that leads out of a loss's domain is undone.

    Args:
        method: whose draws, batch and rate are taken, where it has them.
        losses: of one kind, so that one program serves all.
        starts: starting parameters with a leading axis of restarts.
        key: random key of all noise.
        steps: on each loss.
        rate: learning rate, where the method has none.

    Returns:
        The last parameters at which the loss was finite, with the axis of restarts.
    """
    size = losses[0].size
    draws, batch = _DRAWS, None
    if isinstance(method, FreshDraws | ConstantRate):
        draws, batch = method.draws, method.batch
        rate = rate if method.rate is None else method.rate
    batch = size // -(-size // _MOST_ROWS) if batch is None else min(batch, size)
    order_key, key = jax.random.split(key)
    epochs = Epochs(size, batch, seed_of(order_key))
    walk = first_walk(jax.tree.map(jnp.asarray, starts), _ADAM)
    for i, loss in enumerate(losses):
        index, epochs = epochs.take(steps)
        walk, _ = advance_walk(
            loss,
            walk,
            jax.random.split(jax.random.fold_in(key, i), steps),
            None if batch == size else jnp.asarray(index),
            jnp.asarray(rate, jnp.result_type(float)),
            _ADAM,
            draws,
            loss.step_sizes(walk.parameters),
        )
    return walk.sound
