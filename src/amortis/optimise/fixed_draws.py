"""`FixedDraws`: sample average approximation with L-BFGS that checks itself."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from amortis._require import require_count, require_positive
from amortis._types import Parameters, RandomKey
from amortis.optimise.fixed_search import advance, first_search, search_again
from amortis.optimise.interface import AbstractMethod, Progress, StochasticLoss
from amortis.optimise.lbfgs import LBFGSState
from amortis.optimise.settled import Settled
from amortis.optimise.status import Status

_FIRST_BLOCK, _BLOCK = 4, 12
"""Evaluations before the first look from the host, and between two looks. The first look comes
early, since a fit of a Gaussian model is all but there by then; it and the next are judged as one
block."""

_FIRST_SLACK = 5.0
"""The first draws are few: settling on them to the last digit would be lost with the next ones."""

_CLAIM_SLACK = 5.0
"""The claim of one set of draws against the measurement of another carries the noise of both."""

_SLOW = 10.0
"""First draws may be left once a block gains no more than so many tolerated differences of claims;
before, the guide is too wide for a comparison to say much."""

_CAPACITY, _MOST_CAPACITY, _SMALL_NOISE = 4, 128, 100_000
"""Draws are padded to this multiple, so that growing within it does not compile again; to the
second where the padded noise has at most so many numbers, as of rules that all rows share."""


@dataclasses.dataclass(frozen=True)
class _FixedState:
    search: LBFGSState
    parameters: Parameters
    watched: tuple[Any, Any]
    noise: Any
    starts: Parameters
    draws: int
    chunk: int
    capacity: int
    key: RandomKey
    leader: int
    objective: float
    evaluations: int
    level_evaluations: int
    decrease: float
    measured: float
    previous: Settled | None
    status: Status | None


class FixedDraws(AbstractMethod):
    r"""Draw once, minimise the average exactly with L-BFGS, check on fresh draws, and grow.

    The loss becomes $\frac1S\sum_s L(\phi, \epsilon_s)$ with low-discrepancy noise that stays. When
    L-BFGS has settled, the number of draws grows, with new noise, and the search goes on from where
    it is. (First draws are left earlier, for twice as many, if those refute what they claim and
    cost no compilation.) It ends when the claimed objective agrees with the one measured on the new
    draws, and the globals' means and standard deviations have not moved in between.

    Attributes:
        draws: draws to start with, rounded up to a multiple of four; by default what the loss
            asks for.
        most_draws: draws at which growing ends with `Status.DRAWS_EXHAUSTED`; the first number of
            draws grows once in any case, to be compared with.
        tolerance: agreement asked of the objective, in nats per datum.
        mean_tolerance: agreement asked of the globals' means, in their standard deviations.
        sd_tolerance: agreement asked of the globals' standard deviations, relative.
        evaluations: most evaluations of the loss per number of draws.
        memory: curvature pairs of L-BFGS.

    Raises:
        ArgumentError: draws or evaluations below one, or a tolerance that is not positive.

    References:
        Giordano, Ingram & Broderick, *Black Box Variational Inference with a Deterministic
        Objective* (2023); Burroni, Domke & Sheldon, *Sample Average Approximation for Black-Box
        VI* (2024).
    """

    draws: int | None = eqx.field(static=True, default=None)
    most_draws: int = eqx.field(static=True, default=1024)
    tolerance: float = eqx.field(static=True, default=1e-3)
    mean_tolerance: float = eqx.field(static=True, default=0.1)
    sd_tolerance: float = eqx.field(static=True, default=0.02)
    evaluations: int = eqx.field(static=True, default=2000)
    memory: int = eqx.field(static=True, default=20)

    def __check_init__(self) -> None:
        for name in ("draws", "most_draws", "evaluations", "memory"):
            if getattr(self, name) is not None:
                require_count("FixedDraws", name, getattr(self, name))
        for name in ("tolerance", "mean_tolerance", "sd_tolerance"):
            require_positive("FixedDraws", name, getattr(self, name))

    def init(self, loss: StochasticLoss, starts: Parameters, key: RandomKey) -> _FixedState:
        draws = loss.first_draws if self.draws is None else 4 * ((self.draws + 3) // 4)
        noise = loss.fixed_noise(key, draws)
        capacity = _capacity_for(noise, draws)
        noise = _padded(noise, capacity)
        return _FixedState(
            search=first_search(loss, starts, self.memory),
            parameters=starts,
            watched=((), ()),
            noise=noise,
            starts=starts,
            draws=draws,
            chunk=draws,
            capacity=capacity,
            key=key,
            leader=0,
            objective=-np.inf,
            evaluations=0,
            level_evaluations=0,
            decrease=np.inf,
            measured=np.inf,
            previous=None,
            status=None,
        )

    def step(self, loss: StochasticLoss, state: _FixedState) -> _FixedState:
        count = jnp.asarray(-(-state.draws // state.chunk))
        first, second = state.evaluations == 0, state.evaluations == _FIRST_BLOCK
        length = _FIRST_BLOCK if first else _BLOCK - _FIRST_BLOCK if second else _BLOCK
        search, looked = advance(
            loss,
            state.search,
            state.noise,
            count,
            state.starts,
            state.chunk,
            jnp.asarray(length),
        )
        after, before = np.asarray(search.value), np.asarray(looked.before)
        leader = int(np.argmin(after))
        if not np.isfinite(after[leader]):
            return dataclasses.replace(state, search=search, status=Status.DIVERGED)
        first_look = state.level_evaluations == 0
        state = dataclasses.replace(
            state,
            search=search,
            parameters=looked.parameters,
            watched=looked.watched,
            leader=leader,
            objective=-float(after[leader]),
            decrease=(state.measured if second else float(before[leader])) - float(after[leader]),
            measured=float(before[state.leader]) if first_look else state.measured,
            evaluations=state.evaluations + length,
            level_evaluations=state.level_evaluations + length,
        )
        enough = _settled_decrease(loss.size, self.tolerance) * (
            _FIRST_SLACK if state.previous is None else 1.0
        )
        shift, change = (float(np.asarray(values)[leader]) for values in looked.unsettled)
        still = shift <= 0.5 * self.mean_tolerance and change <= 0.5 * self.sd_tolerance
        settled = not first and state.decrease <= enough and still
        if settled or bool(np.asarray(search.stalled)[leader]):
            return self._compare(loss, state)
        if self._refuted(loss, state):
            return self._grow(loss, state, 2 * state.draws)
        if state.level_evaluations >= self.evaluations:
            return dataclasses.replace(state, status=Status.ITERATIONS_EXHAUSTED)
        return state

    def terminate(self, state: _FixedState) -> Status | None:
        return state.status

    def progress(self, loss: StochasticLoss, state: _FixedState) -> Progress:
        ratio = max(state.decrease, 1e-12) / _settled_decrease(loss.size, self.tolerance)
        settling = 1.0 - min(max(np.log10(ratio), 0.0) / 5.0, 1.0)
        level = 0.0 if state.previous is None else 0.5
        fraction = 1.0 if state.status is not None else level + 0.5 * settling
        return Progress(state.objective * loss.size, None, state.draws, state.evaluations, fraction)

    def best(self, loss: StochasticLoss, state: _FixedState) -> Parameters:
        # On the host: an index into an array on a device is compiled for every shape.
        return jax.tree.map(
            lambda leaf: jax.device_put(np.asarray(leaf)[state.leader]), state.parameters
        )

    def _refuted(self, loss: StochasticLoss, state: _FixedState) -> bool:
        """Whether twice the draws measure a worse loss than the first ones claim.

        Worse by more than the last block gained, and than what two sets of draws may differ by: a
        short rule that a curved function can fit is left early. With four nodes for each latent the
        nonlinear model of the paper settles after 800 evaluations, of which the exact objective
        falls from the sixtieth on. A pessimistic rule is kept until it has settled. Asked where the
        noise is small, so that more draws are compiled already, once the search has slowed down and
        then more and more rarely; its evaluation is not counted.
        """
        blocks, rest = divmod(state.level_evaluations, _BLOCK)
        slack, draws = _CLAIM_SLACK * self._tolerance_of(loss), 2 * state.draws
        if state.previous is not None or rest or not blocks or blocks & (blocks - 1):
            return False
        if state.capacity < _MOST_CAPACITY * state.chunk or state.decrease > _SLOW * slack:
            return False
        if draws > min(state.capacity, self.most_draws):
            return False
        noise = _padded(loss.fixed_noise(state.key, draws), state.capacity)
        _, looked = advance(
            loss,
            search_again(state.search, self.memory),
            noise,
            jnp.asarray(draws // state.chunk),
            state.starts,
            state.chunk,
            jnp.asarray(1),
        )
        measured = float(np.asarray(looked.before)[state.leader])
        # Where wider nodes leave the support nothing could go on from here: the first draws might.
        return math.isfinite(measured) and measured + state.objective > max(slack, state.decrease)

    def _compare(self, loss: StochasticLoss, state: _FixedState) -> _FixedState:
        """Compare a settled level with the one before; end, or go on with more draws."""
        location, scale = (np.asarray(v, np.float64)[state.leader] for v in state.watched)
        found = Settled(-state.objective, location, scale)
        if state.previous is not None and self._agree(loss, state.previous, found, state.measured):
            return dataclasses.replace(state, status=Status.CONVERGED)
        compared = state.previous is not None
        if compared and loss.more_draws(state.draws) > self.most_draws:
            return dataclasses.replace(state, status=Status.DRAWS_EXHAUSTED)
        grown = self._grow(loss, state, loss.more_draws(state.draws))
        return dataclasses.replace(grown, previous=found)

    def _agree(
        self, loss: StochasticLoss, before: Settled, after: Settled, measured: float
    ) -> bool:
        """Whether fresh draws confirm a level: its loss, and where the globals settle.

        `before.loss` is what the old draws claimed of their optimum, `measured` is what the new
        draws say of the same point, and `after` is their own optimum.
        """
        tolerance = self._tolerance_of(loss)
        # Both on the new draws, so their noise cancels: how far the old solution is from optimal.
        if measured - after.loss > tolerance:
            return False
        # On different draws: overfitting, but with the sampling noise of both.
        if abs(before.loss - measured) > _CLAIM_SLACK * tolerance:
            return False
        shift, change = before.moved_to(after)
        return shift <= self.mean_tolerance and change <= self.sd_tolerance

    def _tolerance_of(self, loss: StochasticLoss) -> float:
        return max(self.tolerance, 0.05 / loss.size)  # less would only measure rounding

    def _grow(self, loss: StochasticLoss, state: _FixedState, draws: int) -> _FixedState:
        noise = loss.fixed_noise(state.key, draws)
        chunk, capacity = state.chunk, state.capacity
        if draws > capacity:
            chunk, capacity = draws, _capacity_for(noise, draws)
        noise = _padded(noise, capacity)
        search = search_again(state.search, self.memory)
        return dataclasses.replace(
            state,
            search=search,
            noise=noise,
            draws=draws,
            chunk=chunk,
            capacity=capacity,
            level_evaluations=0,
            decrease=np.inf,
        )


def _settled_decrease(size: int, tolerance: float) -> float:
    """Decrease per block below which a level has settled, in nats per datum.

    5e-6 nats per datum is a two-thousandth of what the comparisons in the paper can tell apart, and
    leaves the plateaus behind on which a fit of the digits stopped 2e-3 too early with 2e-5; a
    thousandth of a nat in total is all that matters where there are few rows. Less where the user
    asks for a finer tolerance than a thousandth of a nat per datum, down to a twentieth: below that
    the loss is known to no more digits in 32 bit.
    """
    return max(5e-6, 1e-3 / size) * min(1.0, max(tolerance / 1e-3, 0.05))


def _capacity_for(noise: Any, draws: int) -> int:
    """Draws to which noise of so many is padded."""
    numbers = sum(leaf.size for leaf in jax.tree.leaves(noise))
    small = _MOST_CAPACITY * numbers <= _SMALL_NOISE
    return (_MOST_CAPACITY if small else _CAPACITY) * draws


def _padded(noise: Any, capacity: int) -> Any:
    def pad(leaf: np.ndarray) -> np.ndarray:
        return np.pad(leaf, [(0, capacity - leaf.shape[0])] + [(0, 0)] * (leaf.ndim - 1))

    return jax.tree.map(pad, noise)
