r"""What a nat costs: distance to the optimum against evaluations of the log density and seconds.

Stochastic gradients of the ELBO with decaying and constant rates and several numbers of draws per
step, beside L-BFGS on fixed draws, where the optimum is known.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

import amortis
from amortis._types import Parameters, RandomKey
from amortis.experiments.gaussian_vi.gaussian import moments
from amortis.experiments.gaussian_vi.problems import Problem, problems
from amortis.experiments.gaussian_vi.schedules import SCHEDULES, Schedule, marks, own_methods

NEAR = 0.1
"""Nats from the optimum at which a fit counts as there."""

_LOOKS, _ENDING, _LOOKED = 40, 5, 100
"""Looks at a run, how many of them are its end, and evaluations between two that are possible."""

_LEAST_GAP = 1e-7
"""Nats below which 32 bit parameters tell nothing apart."""

Method = amortis.ConstantRate | amortis.FixedDraws | amortis.FreshDraws


@dataclasses.dataclass(frozen=True)
class StochasticSize:
    """How much is run.

    Attributes:
        budget: evaluations of the log density and its gradient in a run.
        draws: numbers of draws per step.
        rates: first rates that are tried, per nat of the total; the best is kept.
        adam_rates: of Adam.
        seeds: runs at the best rate.
        problems: how many of the problems.
    """

    budget: int = 20_000
    draws: tuple[int, ...] = (1, 10, 100)
    rates: tuple[float, ...] = (0.1, 0.03, 0.01, 0.003)
    adam_rates: tuple[float, ...] = (0.1, 0.03, 0.01)
    seeds: int = 3
    problems: int = 2


SHORT = StochasticSize(
    budget=2000, draws=(10,), rates=(0.03,), adam_rates=(0.1,), seeds=1, problems=1
)


@dataclasses.dataclass(frozen=True)
class Trace:
    """One run.

    Attributes:
        evaluations: of the log density and its gradient, so far.
        seconds: so far, without compilation and without the looks themselves.
        gaps: nats below the best ELBO.
        status: how it ended.
    """

    evaluations: tuple[int, ...]
    seconds: tuple[float, ...]
    gaps: tuple[float, ...]
    status: str

    @property
    def ending(self) -> float:
        """The last gap of a run that ended by itself, in nats, and else the last ones' mean.

        Of runs that are cut off the geometric mean of a few looks, which scatter; infinite if it
        diverged.
        """
        if self.status == amortis.Status.DIVERGED.name or not self.gaps:
            return math.inf
        if self.status == amortis.Status.CONVERGED.name:
            return self.gaps[-1]
        return float(np.exp(np.log(self.gaps[-_ENDING:]).mean()))

    @property
    def arrival(self) -> int | None:
        """The first look from which on all gaps are at most `NEAR`."""
        far = [i for i, gap in enumerate(self.gaps) if not gap <= NEAR]
        first = far[-1] + 1 if far else 0
        return first if first < len(self.gaps) else None


@dataclasses.dataclass(frozen=True)
class StochasticRow:
    """A method with its best rate.

    Attributes:
        problem: name of the problem.
        method: name of the method.
        draws: per step; None where the method chooses.
        rate: first rate, the best of those tried; None where the method chooses.
        traces: one for each seed.
    """

    problem: str
    method: str
    draws: int | None
    rate: float | None
    traces: tuple[Trace, ...]

    @property
    def ending(self) -> float:
        """Median over seeds of where a run ends, in nats below the best ELBO."""
        return float(np.median([trace.ending for trace in self.traces]))

    def to_near(self, what: str) -> float:
        """Median over seeds of evaluations or seconds until `NEAR`; infinite if most never are."""
        found = [
            math.inf if trace.arrival is None else float(getattr(trace, what)[trace.arrival])
            for trace in self.traces
        ]
        return float(np.quantile(found, 0.5, method="higher"))


@dataclasses.dataclass(frozen=True)
class StochasticResult:
    """All runs.

    Attributes:
        size: what was asked for.
        rows: one for each problem, method and number of draws.
    """

    size: StochasticSize
    rows: tuple[StochasticRow, ...]


def run_stochastic(
    size: StochasticSize, *, key: RandomKey, tell: Callable[[str], None] = print
) -> StochasticResult:
    """Run every method on every problem.

    Args:
        size: how much.
        key: random key of starts and draws.
        tell: called with a line after each method.
    """
    rows: list[StochasticRow] = []
    for problem in problems()[: size.problems]:
        for schedule in SCHEDULES:
            rows += [_tuned(problem, schedule, draws, size, key) for draws in size.draws]
            tell(f"stochastic, {problem.name}, {schedule.name}: {rows[-1].ending:.2g} nats off")
        for name, method in own_methods(size.budget).items():
            fit = _warm(problem, method, key)
            keys = [jax.random.fold_in(key, seed) for seed in range(size.seeds)]
            traces = [_traced(problem, method, fit, each, size.budget) for each in keys]
            rows.append(StochasticRow(problem.name, name, None, None, tuple(traces)))
            tell(f"stochastic, {problem.name}, {name}: {rows[-1].ending:.2g} nats off")
    return StochasticResult(size, tuple(rows))


def _tuned(
    problem: Problem, schedule: Schedule, draws: int, size: StochasticSize, key: RandomKey
) -> StochasticRow:
    """The best rate on the first seed, then the other seeds at it."""
    # The library's gradients are per datum; Adam's steps have no unit.
    unit = 1.0 if schedule.adam else float(problem.model.size)
    rates = size.adam_rates if schedule.adam else size.rates
    block = max(_LOOKED // draws, 1)

    def method(rate: float, iterations: int) -> amortis.ConstantRate:
        return schedule.method(rate * unit, draws=draws, iterations=iterations, block=block)

    fit = _warm(problem, method(rates[-1], 2 * block), key)

    def traced(rate: float, seed: int) -> Trace:
        chosen = method(rate, size.budget // draws)
        return _traced(problem, chosen, fit, jax.random.fold_in(key, seed), size.budget)

    tried = {rate: traced(rate, 0) for rate in rates}
    best = min(tried, key=lambda rate: tried[rate].ending)
    others = [traced(best, seed) for seed in range(1, size.seeds)]
    return StochasticRow(problem.name, schedule.name, draws, best, (tried[best], *others))


def _warm(problem: Problem, method: Method, key: RandomKey) -> amortis.Fit:
    """A fit that compiles what later ones run."""
    return amortis.fit(problem.model, key=key, globals_=amortis.DiagonalNormal(), optimiser=method)


def _traced(
    problem: Problem, method: Method, like: amortis.Fit, key: RandomKey, budget: int
) -> Trace:
    """One run, looked at by a monitor whose own time does not count."""
    always = isinstance(method, amortis.FixedDraws)  # its blocks are few
    watch = _Watch(problem, like, None if always else marks(_LOOKED, budget, _LOOKS))
    try:
        fit = amortis.fit(
            problem.model,
            key=key,
            globals_=amortis.DiagonalNormal(),
            optimiser=method,
            monitor=watch,
        )
    except np.linalg.LinAlgError:
        # Steps so long that an sd is zero: what looks for ridges after the run cannot divide by it.
        return watch.trace(amortis.Status.DIVERGED.name)
    return watch.trace(fit.status.name)


class _Watch:
    """A monitor that measures the gap at given numbers of evaluations, or after every block."""

    def __init__(self, problem: Problem, like: amortis.Fit, at: Sequence[int] | None) -> None:
        self._problem, self._like, self._left = problem, like, list(at or ())
        self._always = at is None
        self._evaluations, self._iterations = 0, 0
        self._found: list[tuple[int, float, float]] = []
        self._ended = False
        self._since = time.perf_counter()

    def __call__(self, progress: amortis.Progress, parameters: Callable[[], Parameters]) -> None:
        now = time.perf_counter()
        # A second stage, in other coordinates, counts its iterations anew; it is not looked at.
        self._ended = self._ended or progress.iterations <= self._iterations
        if self._ended:
            return
        self._evaluations += (progress.iterations - self._iterations) * progress.draws
        self._iterations = progress.iterations
        if self._always or (self._left and self._evaluations >= self._left[0]):
            self._left = [mark for mark in self._left if mark > self._evaluations]
            mean, sds = moments(dataclasses.replace(self._like, variational=parameters()))
            with np.errstate(all="ignore"):  # steps that are too long leave what has a finite KL
                gap = self._problem.gap(mean, sds)
            gap = max(gap, _LEAST_GAP) if math.isfinite(gap) else math.inf
            self._found.append((self._evaluations, now - self._since, gap))
            self._since += time.perf_counter() - now

    def trace(self, status: str) -> Trace:
        """What was seen."""
        evaluations, seconds, gaps = zip(*self._found, strict=True) if self._found else ((),) * 3
        return Trace(tuple(evaluations), tuple(seconds), tuple(gaps), status)
