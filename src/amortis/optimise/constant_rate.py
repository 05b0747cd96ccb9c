"""`ConstantRate`: the textbook stochastic gradient, as published experiments run it."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from amortis._require import require_count, require_positive
from amortis._types import Parameters, RandomKey
from amortis.optimise.batches import Epochs, seed_of
from amortis.optimise.interface import AbstractMethod, Progress, StochasticLoss
from amortis.optimise.restarts import over_restarts
from amortis.optimise.status import Status

_ADAM = optax.scale_by_adam()
"""Made once: a transformation is a set of closures, and new ones would compile everything again."""

_MOST_NUMBERS = 8_000_000
"""Of noise, held at once."""


class _Walk(eqx.Module):
    """Parameters and optax's state, every leaf with a leading axis of restarts."""

    parameters: Parameters
    optimizer: optax.OptState


@dataclasses.dataclass(frozen=True)
class _ConstantState:
    walk: _Walk
    epochs: Epochs
    key: RandomKey
    losses: Float[np.ndarray, "steps restarts"]
    iterations: int
    status: Status | None


class ConstantRate(AbstractMethod):
    r"""$\phi \leftarrow \phi - \eta\,u(\hat g)$ with a constant $\eta$, a given number of times.

    $\hat g$ averages the reparameterization gradients of `draws` independent draws, new at every
    step, over all rows or a minibatch (without replacement within an epoch); u is Adam's direction,
    or that of another optax transformation. Nothing is chosen and nothing is watched: no stopping
    rule, no averaging, no rollback. It is here to reproduce what others ran, and as the baseline
    that `FixedDraws` and `FreshDraws` are measured against.

    A fit ends with `ITERATIONS_EXHAUSTED` and the last iterate, or with `DIVERGED` and the last
    iterates before the block in which the loss or a parameter was not finite. The fit's history,
    and the monitor, have an entry for each block: the mean of the losses before its steps.

    Attributes:
        rate: learning rate $\eta$.
        iterations: number of steps.
        draws: independent draws per step.
        batch: rows per step; by default all.
        optimizer: an optax transformation that returns ascent directions of unit rate, such as
            `optax.trace(0.9)`; its updates are multiplied by $-\eta$. By default Adam's.
        block: steps between two entries of the history.

    Raises:
        ArgumentError: a rate that is not positive, or another number below one.

    References:
        Kingma & Ba, *Adam* (2015); Margossian & Blei (2024), §5, use rates of 1e-3 and 1e-2, all
        rows and 100 draws.
    """

    rate: float = eqx.field(static=True)
    iterations: int = eqx.field(static=True, kw_only=True)
    draws: int = eqx.field(static=True, default=1, kw_only=True)
    batch: int | None = eqx.field(static=True, default=None, kw_only=True)
    optimizer: optax.GradientTransformation | None = eqx.field(
        static=True, default=None, kw_only=True
    )
    block: int = eqx.field(static=True, default=10, kw_only=True)

    def __check_init__(self) -> None:
        require_positive("ConstantRate", "rate", self.rate)
        for name in ("iterations", "draws", "block"):
            require_count("ConstantRate", name, getattr(self, name))
        if self.batch is not None:
            require_count("ConstantRate", "batch", self.batch)

    def init(self, loss: StochasticLoss, starts: Parameters, key: RandomKey) -> _ConstantState:
        order_key, key = jax.random.split(key)
        batch = loss.size if self.batch is None else min(self.batch, loss.size)
        return _ConstantState(
            walk=_Walk(starts, jax.vmap(self._direction().init)(starts)),
            epochs=Epochs(loss.size, batch, seed_of(order_key)),
            key=key,
            losses=np.full((1, jax.tree.leaves(starts)[0].shape[0]), np.inf),
            iterations=0,
            status=None,
        )

    def step(self, loss: StochasticLoss, state: _ConstantState) -> _ConstantState:
        length = min(self.block, self.iterations - state.iterations)
        index, epochs = None, state.epochs
        if epochs.batch < loss.size:
            taken, epochs = epochs.take(length)
            index = jnp.asarray(taken)
        walk, losses, finite = _advance(
            loss,
            state.walk,
            jax.random.fold_in(state.key, state.iterations),
            index,
            jnp.asarray(self.rate, jnp.result_type(float)),
            self._direction(),
            self.draws,
            length,
        )
        if not finite:
            # The losses up to there are kept: a start that is finite is not what is to blame.
            found = np.asarray(losses, np.float64)
            sound = np.where(np.isfinite(found), found, np.nan)
            return dataclasses.replace(
                state, losses=sound[: max(_finite_steps(sound), 1)], status=Status.DIVERGED
            )
        iterations = state.iterations + length
        return _ConstantState(
            walk=walk,
            epochs=epochs,
            key=state.key,
            losses=np.asarray(losses, np.float64),
            iterations=iterations,
            status=Status.ITERATIONS_EXHAUSTED if iterations >= self.iterations else None,
        )

    def terminate(self, state: _ConstantState) -> Status | None:
        return state.status

    def progress(self, loss: StochasticLoss, state: _ConstantState) -> Progress:
        recent = state.losses[:, _leader(state)]
        noise = float(np.std(recent) / np.sqrt(len(recent))) if len(recent) > 1 else np.inf
        return Progress(
            objective=-float(recent.mean()) * loss.size,
            noise=noise * loss.size,
            draws=self.draws,
            iterations=state.iterations,
            fraction=state.iterations / self.iterations,
        )

    def best(self, loss: StochasticLoss, state: _ConstantState) -> Parameters:
        leader = _leader(state)
        return jax.tree.map(lambda leaf: leaf[leader], state.walk.parameters)

    def _direction(self) -> optax.GradientTransformation:
        return _ADAM if self.optimizer is None else self.optimizer


def _finite_steps(losses: Float[np.ndarray, "steps restarts"]) -> int:
    """Steps before the first at which all restarts' losses are not numbers."""
    bad = np.isnan(losses).all(axis=1)
    return int(np.argmax(bad)) if bad.any() else len(losses)


def _leader(state: _ConstantState) -> int:
    """The restart with the lowest loss of the last block."""
    means = state.losses.mean(axis=0)
    return int(np.argmin(np.where(np.isnan(means), np.inf, means)))


@eqx.filter_jit
def _advance(
    loss: StochasticLoss,
    walk: _Walk,
    key: RandomKey,
    index: Int[Array, "steps batch"] | None,
    rate: Float[Array, ""],
    direction: optax.GradientTransformation,
    draws: int,
    length: int,
) -> tuple[_Walk, Float[Array, "steps restarts"], Array]:
    """Some steps; all restarts see the same noise and rows.

    Returns:
        The walk after them, the noisy loss before each, and whether all of it is finite.
    """
    size = loss.size if index is None else index.shape[1]

    def noise_of(key: RandomKey) -> Any:
        # One call per draw: several draws of one call are antithetic.
        return jax.vmap(lambda k: loss.fresh_noise(k, 1, size))(jax.random.split(key, draws))

    def step(walk: _Walk, xs: tuple[Any, Array | None]) -> tuple[_Walk, Array]:
        noise, rows = xs

        def value(parameters: Parameters) -> Array:
            each = jax.vmap(lambda noise: loss.value(parameters, noise, rows))(noise)
            return jnp.mean(each)

        def one(walk: _Walk) -> tuple[_Walk, Array]:
            now, gradient = jax.value_and_grad(value)(walk.parameters)
            # Optax mixes integer step counts with floats; under strict promotion that is refused.
            with jax.numpy_dtype_promotion("standard"):
                updates, optimizer = direction.update(gradient, walk.optimizer, walk.parameters)
            moved = jax.tree.map(lambda p, u: p - rate * u, walk.parameters, updates)
            return _Walk(moved, optimizer), now

        return over_restarts(one, walk)(walk)

    def some_steps(walk: _Walk, xs: tuple[Array, Array | None]) -> tuple[_Walk, Array]:
        keys, rows = xs
        return jax.lax.scan(step, walk, (jax.lax.map(noise_of, keys), rows))

    # The noise of some steps is made before them: inside a step XLA fuses its generation into
    # whatever reads it, and makes it again each time (284 000 weights: 20 ms per step against 14).
    together = _steps_together(length, jax.eval_shape(noise_of, key))
    parted = jax.tree.map(
        lambda leaf: leaf.reshape(-1, together, *leaf.shape[1:]),
        (jax.random.split(key, length), index),
    )
    walk, losses = jax.lax.scan(some_steps, walk, parted)
    losses = losses.reshape(length, -1)
    sound = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(walk.parameters)]
    return walk, losses, jnp.all(jnp.stack([*sound, jnp.all(jnp.isfinite(losses))]))


def _steps_together(length: int, noise: Any) -> int:
    """The most steps, of which a block is a multiple, whose noise is held at once."""
    numbers = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(noise))
    most = max(_MOST_NUMBERS // max(numbers, 1), 1)
    return max(steps for steps in range(1, length + 1) if length % steps == 0 and steps <= most)
