"""The compiled part of `FreshDraws`: steps of all restarts, with rollback and averaging."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from amortis._types import Parameters
from amortis.optimise.interface import StochasticLoss
from amortis.optimise.restarts import over_restarts


class Walk(eqx.Module):
    """Where the restarts are; every leaf has a leading axis of restarts.

    Attributes:
        parameters: current parameters, where the next step evaluates the loss.
        optimizer: optax's state.
        sound: the last parameters at which loss and gradient were finite, to go back to.
        average: weighted average of the iterates at this rate.
        steps: steps at this rate.
        damping: factor on the step size, halved by every rollback.
        rollbacks: rollbacks in a row.
    """

    parameters: Parameters
    optimizer: Any
    sound: Parameters
    average: Parameters
    steps: Float[Array, "*restarts"]
    damping: Float[Array, "*restarts"]
    rollbacks: Int[Array, "*restarts"]


def first_walk(starts: Parameters, transformation: optax.GradientTransformation) -> Walk:
    """The walk before its first step.

    Args:
        starts: starting parameters with a leading axis of restarts.
        transformation: the optimizer.
    """
    restarts = jax.tree.leaves(starts)[0].shape[0]
    return Walk(
        parameters=starts,
        optimizer=jax.vmap(transformation.init)(starts),
        sound=starts,
        average=starts,
        steps=jnp.zeros(restarts),
        damping=jnp.ones(restarts),
        rollbacks=jnp.zeros(restarts, jnp.int32),
    )


def at_new_rate(walk: Walk) -> Walk:
    """The walk going on from its average, with a new average to come."""
    return Walk(
        parameters=walk.average,
        optimizer=walk.optimizer,
        sound=walk.average,
        average=walk.average,
        steps=jnp.zeros_like(walk.steps),
        damping=jnp.ones_like(walk.damping),
        rollbacks=jnp.zeros_like(walk.rollbacks),
    )


@eqx.filter_jit
def advance_walk(
    loss: StochasticLoss,
    walk: Walk,
    keys: Key[Array, " steps"],
    index: Int[Array, "steps batch"] | None,
    rate: Float[Array, ""],
    transformation: optax.GradientTransformation,
    draws: int,
    sizes: Any = None,
) -> tuple[Walk, Float[Array, "steps restarts"]]:
    """One step per key; all restarts see the same noise and rows, so that they can be compared.

    Args:
        loss: the loss.
        walk: where the restarts are.
        keys: a random key for each step.
        index: rows of each step's minibatch; None for all rows.
        rate: factor on the optimizer's updates.
        transformation: the optimizer.
        draws: draws per step.
        sizes: further factors on the updates, one for each leaf; None for none.

    Returns:
        The walk after the steps, and the noisy loss before each of them.
    """

    def step(walk: Walk, xs: tuple[Any, Any]) -> tuple[Walk, Array]:
        key, rows = xs
        noise = loss.fresh_noise(key, draws, loss.size if rows is None else rows.shape[0])

        def one(walk: Walk) -> tuple[Walk, Array]:
            return _one_step(loss, walk, noise, rows, rate, transformation, sizes)

        return over_restarts(one, walk)(walk)

    return jax.lax.scan(step, walk, (keys, index))


def _one_step(
    loss: StochasticLoss,
    walk: Walk,
    noise: Any,
    rows: Array | None,
    rate: Array,
    transformation: optax.GradientTransformation,
    sizes: Any,
) -> tuple[Walk, Array]:
    value, gradient = jax.value_and_grad(loss.value)(walk.parameters, noise, rows)
    # Optax mixes integer step counts with floats; under strict promotion that is refused.
    with jax.numpy_dtype_promotion("standard"):
        updates, optimizer = transformation.update(gradient, walk.optimizer, walk.parameters)
    scaled = jax.tree.map(lambda u: rate * walk.damping * u, updates)
    if sizes is not None:
        scaled = jax.tree.map(lambda u, size: size * u, scaled, sizes)
    moved = optax.apply_updates(walk.parameters, scaled)
    leaves = jax.tree.leaves((gradient, moved))
    finite = jnp.isfinite(value) & jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves]))

    def keep(new: Any, old: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)

    # The loss shows only now whether the step before led out of its domain: go back behind it.
    sound = keep(walk.parameters, walk.sound)
    steps = walk.steps + finite.astype(walk.steps.dtype)
    # Polynomial-decay averaging: about the last quarter of the sound iterates at this rate.
    weight = jnp.where(finite, 4.0 / (steps + 3.0), jnp.zeros_like(steps))
    average = jax.tree.map(lambda a, p: a + weight * (p - a), walk.average, sound)
    damping = jnp.where(finite, jnp.minimum(1.0, 1.05 * walk.damping), 0.5 * walk.damping)
    rollbacks = jnp.where(finite, 0, walk.rollbacks + 1).astype(jnp.int32)
    return Walk(
        parameters=keep(moved, walk.sound),
        optimizer=keep(optimizer, walk.optimizer),
        sound=sound,
        average=average,
        steps=steps,
        damping=damping,
        rollbacks=rollbacks,
    ), value
