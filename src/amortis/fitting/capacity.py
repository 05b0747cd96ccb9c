"""Growing the inference function until the amortization gap is certified to be small enough."""

import dataclasses
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from amortis._types import Parameters, RandomKey
from amortis.fitting.capacity_record import Capacity, CapacityStep
from amortis.fitting.choose import choose_gradient, choose_method
from amortis.fitting.gap import Gap, amortization_gap
from amortis.fitting.record import Fit
from amortis.fitting.refine import refine
from amortis.guide import Guide
from amortis.inference_functions import described, grown
from amortis.objectives import AbstractGradient, NegativeElbo
from amortis.optimise import AbstractMethod, FixedDraws, History, Monitor, minimise

_MOST_SIZES = 6
_GAP_DRAWS, _MOST_GAP_DRAWS, _COMPARED_DRAWS = 128, 2048, 256
_FIXED_TOLERANCE = 1e-3


class Choices(NamedTuple):
    """What the user chose of how to optimise; None where nothing was chosen."""

    optimiser: AbstractMethod | None
    gradient: AbstractGradient | None
    monitor: Monitor | None


def to_tolerance(
    fitted: Fit,
    *,
    key: RandomKey,
    tolerance: float,
    given: Choices,
) -> Fit:
    r"""Grow the inference function of a fit until its gap per datum is below the tolerance.

    The gap is certified where it is below by two standard errors. If not, the function is replaced
    by the next larger one, which starts as the same function and goes on from there; the best of
    all by the ELBO on common draws is kept, so that the result is never worse than the first. Where
    units touch each other no function can close the gap, and the fit is refined instead.

    Args:
        fitted: the fit to start from.
        key: random key.
        tolerance: in nats per datum.
        given: how the user wants it to be optimised.

    Returns:
        The fit, with the sizes that were tried in its `capacity`.
    """
    started = time.perf_counter()
    best, current = fitted, fitted
    steps: list[CapacityStep] = []
    for size in range(_MOST_SIZES):
        size_key = jax.random.fold_in(key, size)
        gap = _certain_gap(current, size_key, tolerance)
        steps.append(_step(current, gap, started))
        if gap.is_below(tolerance):
            return _with(current, Capacity(tolerance, True, False, tuple(steps)))
        if current.model.coupled or current.guide.inference.owns_rows:
            return _refined(current, size_key, tolerance, steps, started)
        larger = _larger(current, size_key, tolerance, given)
        if larger is None:
            break
        current = larger
        best = current if _is_ahead(current, best, size_key) else best
    return _with(best, Capacity(tolerance, False, False, tuple(steps)))


def _certain_gap(fitted: Fit, key: RandomKey, tolerance: float) -> Gap:
    """The gap, with as many draws as it takes to tell on which side of the tolerance it is."""
    draws = _GAP_DRAWS
    while True:
        gap = amortization_gap(fitted, key=key, draws=draws)
        above = gap.per_datum.mean - 2.0 * gap.per_datum.se > tolerance
        if above or gap.is_below(tolerance) or draws >= _MOST_GAP_DRAWS:
            return gap
        draws *= 4


def _step(fitted: Fit, gap: Gap, started: float) -> CapacityStep:
    return CapacityStep(
        function=described(fitted.guide.inference),
        parameters=fitted.parameters,
        gap=gap.per_datum,
        seconds=time.perf_counter() - started,
    )


def _larger(
    fitted: Fit,
    key: RandomKey,
    tolerance: float,
    given: Choices,
) -> Fit | None:
    """The fit of the next larger function, from where this one is; None if there is none."""
    old, model = fitted.guide, fitted.model
    next_ = grown(old.inference, fitted.variational["locals"], key=key, shape=old.shape)
    if next_ is None:
        return None
    guide = Guide.for_model(model, next_.function, old.global_family, old.local_family)
    guide = dataclasses.replace(guide, offset=old.offset)
    start: dict[str, Any] = {
        "globals": fitted.variational["globals"],
        "locals": next_.parameters,
    }
    method = _method(fitted, tolerance) if given.optimiser is None else given.optimiser
    gradient = choose_gradient(method) if given.gradient is None else given.gradient
    loss = NegativeElbo(model, guide, gradient)
    starts: Parameters = jax.tree.map(lambda leaf: leaf[None], start)
    outcome = minimise(method, loss, starts, key=key, monitor=given.monitor)
    history = _joined(fitted.history, outcome.history)
    found = Fit(model, guide, outcome.parameters, outcome.status, history)
    unchanged = dataclasses.replace(found, variational=start)
    return found if _is_ahead(found, unchanged, key) else unchanged


def _method(fitted: Fit, tolerance: float) -> AbstractMethod:
    method = choose_method(fitted.model, fitted.guide.inference, fitted.guide.global_family)
    if isinstance(method, FixedDraws):
        return FixedDraws(tolerance=min(_FIXED_TOLERANCE, tolerance))
    return method


def _is_ahead(first: Fit, second: Fit, key: RandomKey) -> bool:
    """Whether the first has the larger ELBO, on draws that both see."""
    draws = _COMPARED_DRAWS
    values = first.elbo_pairs(key=key, draws=draws) - second.elbo_pairs(key=key, draws=draws)
    gained = float(values.mean())
    return np.isfinite(gained) and gained >= 0.0


def _refined(
    fitted: Fit, key: RandomKey, tolerance: float, steps: list[CapacityStep], started: float
) -> Fit:
    """The end where no function can close the gap."""
    refined = refine(fitted, key=key)
    gap = _certain_gap(refined, key, tolerance)
    steps = [*steps, _step(refined, gap, started)]
    below = gap.is_below(tolerance)
    history = _joined(fitted.history, refined.history)
    refined = dataclasses.replace(refined, history=history)
    return _with(refined, Capacity(tolerance, below, True, tuple(steps)))


def _with(fitted: Fit, capacity: Capacity) -> Fit:
    return dataclasses.replace(fitted, capacity=capacity)


def _joined(first: History, second: History) -> History:
    """One history after the other."""
    if first is second:
        return first
    seconds = first.seconds[-1] if len(first.seconds) else 0.0
    iterations = first.iterations[-1] if len(first.iterations) else 0
    return History(
        np.concatenate([first.seconds, second.seconds + seconds]),
        np.concatenate([first.objective, second.objective]),
        np.concatenate([first.draws, second.draws]),
        np.concatenate([first.iterations, second.iterations + iterations]),
    )
