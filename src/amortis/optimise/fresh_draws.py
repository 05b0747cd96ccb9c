"""`FreshDraws`: stochastic gradients with a learning rate that chooses and decays itself."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from amortis._require import require_count, require_positive
from amortis._types import Parameters, RandomKey
from amortis.optimise.batches import Epochs, seed_of
from amortis.optimise.block_losses import leader_of, mean_of_finite, noise_of
from amortis.optimise.fresh_walk import Walk, advance_walk, at_new_rate, first_walk
from amortis.optimise.interface import AbstractMethod, Progress, StochasticLoss
from amortis.optimise.ladder import next_rate
from amortis.optimise.settled import Settled
from amortis.optimise.status import Status
from amortis.optimise.stopping import Plateau

_ADAM = optax.chain(optax.scale_by_adam(), optax.scale(-1.0))
"""Made once: a transformation is a set of closures, and new ones would compile everything again."""

_TRIAL_BLOCKS = 2
_LADDER_ITERATIONS, _UNTRIED_RATE = 5000, 0.01
"""With fewer iterations in all, trying rates would take too large a share of them."""

_SHORTEST_BLOCK, _LONGEST_BLOCK = 40, 160
_DECAY = 0.25
_LAST_RATE = 1e-3
"""Relative to the first; a settled rate below it could only polish noise."""
_MOST_ROLLBACKS = 40

_SURELY = 4.0
"""Standard errors by which an earlier state has to be better to come back in the end."""

_MOST_SHIFT, _MOST_CHANGE = 0.1, 0.1
"""Between two rates that have settled: of the globals' means in sds, and of their log sds.

What moves is mostly the noise of the higher rate, so the lower one is closer than that."""


@dataclasses.dataclass(frozen=True)
class _FreshState:
    walk: Walk
    epochs: Epochs
    key: RandomKey
    rate: float
    first_rate: float
    trace: Float[np.ndarray, "blocks restarts"]
    ending: float
    recent: Float[np.ndarray, " quarter"]
    leader: int
    iterations: int
    kept: Walk
    kept_loss: float
    kept_noise: float
    first_loss: float
    settled: Settled | None
    choosing: bool
    trials: "tuple[_FreshState, ...]"
    status: Status | None


class FreshDraws(AbstractMethod):
    r"""New draws, and a new minibatch, at every step, with any optax transformation.

    The default optimizer is Adam; its steps in what multiplies many columns of the inputs are
    shortened (`AbstractInferenceFunction.step_sizes`). Its first learning rate is the best of a
    ladder, which is climbed from its middle, on common draws, for as long as the next rung is
    better at the end of its trial. It stays until
    `plateau` says that the loss has settled, is then divided by four, and so on, until a settled
    rate neither improves on the one before nor moves what is watched (the globals). What is
    returned is a weighted average of the last rate's iterates, which has less noise than any of
    them. A step whose loss or gradient is not
    finite is rolled back, and the steps after it are halved and grow back slowly; if the average
    loss of a block is worse than at the start, the best state comes back with a lower rate.

    Attributes:
        draws: draws per step, antithetic in pairs.
        batch: rows per step; by default all up to 1024 rows, else 513 to 1024,
            chosen so that hardly any row sits an epoch out.
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
        require_count("FreshDraws", "draws", self.draws)
        require_count("FreshDraws", "iterations", self.iterations)
        if self.batch is not None:
            require_count("FreshDraws", "batch", self.batch)
        if self.rate is not None:
            require_positive("FreshDraws", "rate", self.rate)

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
            ending=np.inf,
            recent=np.zeros(0),
            leader=0,
            iterations=0,
            kept=walk,
            kept_loss=np.inf,
            kept_noise=0.0,
            first_loss=np.inf,
            settled=None,
            choosing=False,
            trials=(),
            status=None,
        )
        if self.optimizer is not None:
            return state
        if self.rate is not None or self.iterations < _LADDER_ITERATIONS:
            rate = _UNTRIED_RATE if self.rate is None else self.rate
            return dataclasses.replace(state, rate=rate, first_rate=rate)
        return dataclasses.replace(state, choosing=True)

    def step(self, loss: StochasticLoss, state: _FreshState) -> _FreshState:
        if state.choosing:
            return self._try_rate(loss, state)
        state = self._block(loss, state)
        if int(np.min(state.walk.rollbacks)) >= _MOST_ROLLBACKS:
            return dataclasses.replace(state, status=Status.DIVERGED)
        if state.iterations >= self.iterations:
            return dataclasses.replace(state, status=Status.ITERATIONS_EXHAUSTED)
        trace = state.trace[:, state.leader]
        if self._blown_up(state, trace):
            return self._slower(state, state.kept)
        return self._settle(loss, state, trace) if self.plateau.settled(trace) else state

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
        level = float(state.recent.mean()) if len(state.recent) else np.inf
        # Within the noise the present average is better; well above it something went wrong.
        known = self.plateau.tolerance * 10 + _SURELY * state.kept_noise
        worse = level > state.kept_loss + known
        walk, leader = (state.kept if worse else state.walk), state.leader
        return jax.tree.map(lambda leaf: leaf[leader], walk.average)

    def _transformation(self) -> optax.GradientTransformation:
        if self.optimizer is not None:
            return self.optimizer
        return _ADAM

    def _batch(self, size: int) -> int:
        if self.batch is not None:
            return min(self.batch, size)
        return size if size <= 1024 else size // -(-size // 1024)

    def _block(self, loss: StochasticLoss, state: _FreshState) -> _FreshState:
        """A whole number of epochs where they are short, else a fixed number of steps."""
        per_epoch = state.epochs.per_epoch
        length = -(-_SHORTEST_BLOCK // per_epoch) * per_epoch
        length = _LONGEST_BLOCK if length > _LONGEST_BLOCK else length
        length = max(min(length, self.iterations - state.iterations), 1)
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
            # Another transformation than Adam may not move all parameters alike.
            None if self.optimizer is not None else loss.step_sizes(state.walk.parameters),
        )
        losses = np.asarray(losses, np.float64)
        entry = mean_of_finite(losses)
        trace = np.concatenate([state.trace, entry[None]])
        leader = leader_of(trace)
        recent = trace[-max(len(trace) // 4, 1) :, leader]
        level = float(recent.mean())
        better = level < state.kept_loss
        return dataclasses.replace(
            state,
            walk=walk,
            epochs=epochs,
            key=keys[0],
            trace=trace,
            ending=float(np.min(mean_of_finite(losses[-max(length // 4, 1) :]))),
            recent=recent,
            leader=leader,
            iterations=state.iterations + length,
            kept=walk if better else state.kept,
            kept_loss=level if better else state.kept_loss,
            kept_noise=noise_of(losses[:, leader], len(recent)) if better else state.kept_noise,
            first_loss=level if np.isinf(state.first_loss) else state.first_loss,
        )

    def _try_rate(self, loss: StochasticLoss, state: _FreshState) -> _FreshState:
        """Try the next rate on the same draws and rows; after the last, go on from the best."""
        start, *before = state.trials or (dataclasses.replace(state, choosing=False),)
        rate = next_rate({t.rate: t.ending for t in before})
        assert rate is not None  # else the choice was made
        trial = dataclasses.replace(start, rate=rate, first_rate=rate)
        for _ in range(_TRIAL_BLOCKS):
            trial = self._block(loss, trial)
        tried = [*before, trial]
        best = min(tried, key=lambda t: t.ending)
        best = dataclasses.replace(best, iterations=sum(t.iterations for t in tried))
        last = next_rate({t.rate: t.ending for t in tried}) is None
        return best if last else dataclasses.replace(best, choosing=True, trials=(start, *tried))

    def _blown_up(self, state: _FreshState, trace: Float[np.ndarray, " blocks"]) -> bool:
        """Whether the loss is back where it all began, and by more than the noise of a block."""
        spread = float(np.median(np.abs(np.diff(trace)))) if len(trace) > 2 else 0.0
        lowest = _LAST_RATE * state.first_rate
        far = trace[-1] > max(state.first_loss, state.kept_loss) + 10 * spread
        return bool(far and np.isfinite(state.kept_loss) and state.rate * _DECAY >= lowest)

    def _settle(
        self, loss: StochasticLoss, state: _FreshState, trace: Float[np.ndarray, " blocks"]
    ) -> _FreshState:
        """End if this rate changed nothing since the one before, else go on with a lower one."""
        average = jax.tree.map(lambda leaf: leaf[state.leader], state.walk.average)
        watched = (np.asarray(values, np.float64) for values in loss.watched(average))
        now = Settled(float(np.mean(trace[-max(len(trace) // 4, 2) :])), *watched)
        gained, shift, change = np.inf, np.inf, np.inf
        if state.settled is not None:
            gained = state.settled.loss - now.loss
            shift, change = state.settled.moved_to(now)
        # Both levels are known to about the tolerance, hence twice.
        level = abs(gained) <= 2 * self.plateau.tolerance
        if level and shift <= _MOST_SHIFT and change <= _MOST_CHANGE:
            return dataclasses.replace(state, status=Status.CONVERGED)
        if state.rate * _DECAY < _LAST_RATE * state.first_rate:
            return dataclasses.replace(state, status=Status.STALLED)
        if gained < -2 * self.plateau.tolerance:
            return self._slower(state, state.kept)
        return dataclasses.replace(self._slower(state, state.walk), settled=now)

    def _slower(self, state: _FreshState, walk: Walk) -> _FreshState:
        """Go on from the average of `walk` with a lower rate."""
        return dataclasses.replace(
            state, walk=at_new_rate(walk), rate=state.rate * _DECAY, trace=state.trace[:0]
        )
