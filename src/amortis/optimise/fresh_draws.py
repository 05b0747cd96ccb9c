"""`FreshDraws`: stochastic gradients with a learning rate that chooses and decays itself."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from amortis._errors import ArgumentError
from amortis._types import Parameters, RandomKey
from amortis.optimise.batches import Epochs, seed_of
from amortis.optimise.fresh_walk import Walk, advance_walk, at_new_rate, first_walk
from amortis.optimise.interface import AbstractMethod, Progress, StochasticLoss
from amortis.optimise.status import Status
from amortis.optimise.stopping import Plateau

_RATES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
_ADAM = optax.chain(optax.scale_by_adam(), optax.scale(-1.0))
"""Made once: a transformation is a set of closures, and new ones would compile everything again."""

_TRIAL_BLOCKS = 2
_SHORTEST_BLOCK, _LONGEST_BLOCK = 40, 160
_DECAY = 0.25
_LAST_RATE = 1e-3
"""Relative to the first; a settled rate below it could only polish noise."""
_MOST_ROLLBACKS = 40


@dataclasses.dataclass(frozen=True)
class _FreshState:
    walk: Walk
    epochs: Epochs
    key: RandomKey
    rate: float
    first_rate: float
    trace: Float[np.ndarray, "blocks restarts"]
    recent: Float[np.ndarray, " quarter"]
    leader: int
    iterations: int
    kept: Walk
    kept_loss: float
    first_loss: float
    settled_at: float | None
    status: Status | None


class FreshDraws(AbstractMethod):
    r"""New draws, and a new minibatch, at every step, with any optax transformation.

    The first learning rate is the best of a short ladder, tried on common draws. It stays until
    `plateau` says that the loss has settled, is then divided by four, and so on, until a settled
    rate no longer improves on the one before. What is returned is a weighted average of the last
    rate's iterates, which has less noise than any of them. A step whose loss or gradient is not
    finite is rolled back, and the steps after it are halved and grow back slowly; if the average
    loss of a block is worse than at the start, the best state comes back with a lower rate.

    Attributes:
        draws: draws per step, antithetic in pairs.
        batch: rows per step; by default all up to 2048 rows, else 1024.
        optimizer: an optax transformation with its own step size, which `FreshDraws` only scales
            down; by default Adam with the rate chosen as above.
        rate: first learning rate of the default optimizer, where it is not to be chosen.
        plateau: the stopping rule.
        iterations: most steps.

    Raises:
        ArgumentError: draws, batch or iterations below one, or a rate that is not positive.

    References:
        Kingma & Ba, *Adam* (2015); Welandawe et al., *A framework for improving the reliability of
        black-box variational inference* (2022); Shamir & Zhang (2013) for the average.
    """

    draws: int = eqx.field(static=True, default=2)
    batch: int | None = eqx.field(static=True, default=None)
    optimizer: optax.GradientTransformation | None = eqx.field(static=True, default=None)
    rate: float | None = eqx.field(static=True, default=None)
    plateau: Plateau = Plateau()
    iterations: int = eqx.field(static=True, default=100_000)

    def __check_init__(self) -> None:
        for name, value in (
            ("draws", self.draws),
            ("batch", 1 if self.batch is None else self.batch),
            ("iterations", self.iterations),
        ):
            if value < 1:
                raise ArgumentError(f"FreshDraws {name} is {value}; expected at least 1: raise it")
        if self.rate is not None and not self.rate > 0:
            raise ArgumentError(f"FreshDraws rate is {self.rate}; expected a positive number")

    def init(self, loss: StochasticLoss, starts: Parameters, key: RandomKey) -> _FreshState:
        order_key, key = jax.random.split(key)
        restarts = jax.tree.leaves(starts)[0].shape[0]
        walk = first_walk(starts, self._transformation())
        state = _FreshState(
            walk=walk,
            epochs=Epochs(loss.size, self._batch(loss.size), seed_of(order_key)),
            key=key,
            rate=1.0,
            first_rate=1.0,
            trace=np.zeros((0, restarts)),
            recent=np.zeros(0),
            leader=0,
            iterations=0,
            kept=walk,
            kept_loss=np.inf,
            first_loss=np.inf,
            settled_at=None,
            status=None,
        )
        if self.optimizer is not None:
            return state
        if self.rate is not None:
            return dataclasses.replace(state, rate=self.rate, first_rate=self.rate)
        return self._best_rate(loss, state)

    def step(self, loss: StochasticLoss, state: _FreshState) -> _FreshState:
        state = self._block(loss, state)
        if int(np.min(state.walk.rollbacks)) >= _MOST_ROLLBACKS:
            return dataclasses.replace(state, walk=state.kept, status=Status.DIVERGED)
        if state.iterations >= self.iterations:
            return dataclasses.replace(state, status=Status.ITERATIONS_EXHAUSTED)
        trace = state.trace[:, state.leader]
        if trace[-1] > state.first_loss > state.kept_loss:
            # Worse than where it all began: a finite blow-up, which no single step shows.
            return self._slower(state, state.kept)
        return self._settle(state, trace) if self.plateau.settled(trace) else state

    def terminate(self, state: _FreshState) -> Status | None:
        return state.status

    def progress(self, loss: StochasticLoss, state: _FreshState) -> Progress:
        recent = state.recent
        noise = float(np.std(recent) / np.sqrt(len(recent))) if len(recent) > 1 else np.inf
        decays = np.log(state.rate / state.first_rate) / np.log(_DECAY)
        fraction = 1.0 if state.status is not None else 1.0 - 1.0 / (1.5 + decays)
        return Progress(
            objective=-float(recent.mean()) * loss.size,
            noise=noise * loss.size,
            draws=self.draws,
            iterations=state.iterations,
            fraction=min(max(float(fraction), state.iterations / self.iterations), 1.0),
        )

    def best(self, loss: StochasticLoss, state: _FreshState) -> Parameters:
        leader = state.leader
        return jax.tree.map(lambda leaf: leaf[leader], state.walk.average)

    def _transformation(self) -> optax.GradientTransformation:
        if self.optimizer is not None:
            return self.optimizer
        return _ADAM

    def _batch(self, size: int) -> int:
        if self.batch is not None:
            return min(self.batch, size)
        return size if size <= 2048 else 1024

    def _block(self, loss: StochasticLoss, state: _FreshState) -> _FreshState:
        """A whole number of epochs where they are short, else a fixed number of steps."""
        per_epoch = state.epochs.per_epoch
        length = -(-_SHORTEST_BLOCK // per_epoch) * per_epoch
        length = _LONGEST_BLOCK if length > _LONGEST_BLOCK else length
        index, epochs = state.epochs.take(length)
        keys = jax.random.split(state.key, length + 1)
        whole = state.epochs.batch == loss.size
        walk, losses = advance_walk(
            loss,
            state.walk,
            keys[1:],
            None if whole else jnp.asarray(index),
            jnp.asarray(state.rate),
            self._transformation(),
            self.draws,
        )
        entry = _mean_of_finite(np.asarray(losses, np.float64))
        trace = np.concatenate([state.trace, entry[None]])
        leader = _leader(trace)
        recent = trace[-max(len(trace) // 4, 1) :, leader]
        level = float(recent.mean())
        better = level < state.kept_loss
        return dataclasses.replace(
            state,
            walk=walk,
            epochs=epochs,
            key=keys[0],
            trace=trace,
            recent=recent,
            leader=leader,
            iterations=state.iterations + length,
            kept=walk if better else state.kept,
            kept_loss=level if better else state.kept_loss,
            first_loss=level if np.isinf(state.first_loss) else state.first_loss,
        )

    def _best_rate(self, loss: StochasticLoss, state: _FreshState) -> _FreshState:
        """Try each rate on the same draws and rows, and go on from the best one's state."""
        tried: list[_FreshState] = []
        for rate in _RATES:
            trial = dataclasses.replace(state, rate=rate, first_rate=rate)
            for _ in range(_TRIAL_BLOCKS):
                trial = self._block(loss, trial)
            tried.append(trial)
        return min(tried, key=lambda trial: float(np.min(trial.trace[-1])))

    def _settle(self, state: _FreshState, trace: Float[np.ndarray, " blocks"]) -> _FreshState:
        """End if this rate gained nothing on the one before, else go on with a lower one."""
        settled_at = float(np.mean(trace[-max(len(trace) // 4, 2) :]))
        gained = np.inf if state.settled_at is None else state.settled_at - settled_at
        if state.rate * _DECAY < _LAST_RATE * state.first_rate:
            return dataclasses.replace(state, status=Status.CONVERGED)
        if gained < -2 * self.plateau.tolerance:
            return self._slower(state, state.kept)
        if gained <= self.plateau.tolerance:
            return dataclasses.replace(state, status=Status.CONVERGED)
        return dataclasses.replace(self._slower(state, state.walk), settled_at=settled_at)

    def _slower(self, state: _FreshState, walk: Walk) -> _FreshState:
        """Go on from the average of `walk` with a lower rate."""
        return dataclasses.replace(
            state, walk=at_new_rate(walk), rate=state.rate * _DECAY, trace=state.trace[:0]
        )


def _mean_of_finite(losses: Float[np.ndarray, "steps restarts"]) -> Float[np.ndarray, " restarts"]:
    """Average loss of the steps that were not rolled back; infinite if all were."""
    finite = np.isfinite(losses)
    total = np.where(finite, losses, 0.0).sum(axis=0)
    count = finite.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.inf)


def _leader(trace: Float[np.ndarray, "blocks restarts"]) -> int:
    """The restart with the lowest recent loss."""
    recent = trace[-max(len(trace) // 4, 1) :]
    return int(np.argmin(recent.mean(axis=0))) if len(recent) else 0
