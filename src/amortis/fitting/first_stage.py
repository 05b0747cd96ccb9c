"""The first search of a fit, from a start at which the objective is finite."""

import math

import jax
import numpy as np

from amortis import numerics
from amortis._errors import NonFiniteDensityError
from amortis._types import Parameters, RandomKey
from amortis.fitting.record import Fit
from amortis.fitting.scouts import scouted
from amortis.fitting.stages import Loss, Search
from amortis.objectives import AbstractObjective, AnnealedKL, NegativeElbo
from amortis.optimise import FixedDraws, Status, minimise, minimise_in_turn

_LOG_SDS = (0.0, -2.0, -4.0, -6.0)
"""Log sds of the locals at the start, tried in turn until the objective is finite.

Not the first where there are more globals than units, as of deep decoders: codes as wide as the
prior drown in what random weights make of them, and a fit stays for long where none is used."""

_SCOUTS, _WARM = 2**20 + 4, 2**20 + 5
"""What keys are for, beside those of restarts and in `fit`."""


def first_stage(
    loss: Loss,
    search: Search,
    key: RandomKey,
    restarts: int,
    objective: AbstractObjective | None = None,
) -> Fit:
    """Search from the widest local factors, of those tried, with a finite objective there.

    Without locals it begins where the best of several short searches has led; see `scouted`.

    Args:
        loss: what to minimise.
        search: how.
        key: random key of the starts.
        restarts: number of starts, of which the best result is kept.
        objective: what the loss is of; an `AnnealedKL` first leads the starts to it.

    Returns:
        The fit.

    Raises:
        NonFiniteDensityError: the objective is finite at none of the starts.
    """
    model, guide = loss.model, loss.guide
    each = [guide.init(numerics.forked(key, i)) for i in range(restarts)]
    starts: Parameters = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
    found = [] if model.locals_ else scouted(loss, search, starts, numerics.forked(key, _SCOUTS))
    if any(outcome.status is Status.INTERRUPTED for outcome in found):
        return Fit(model, guide, found[0].parameters, Status.INTERRUPTED, found[0].history)
    if len(found) >= restarts:
        begun = [outcome.parameters for outcome in found[:restarts]]
        starts = jax.tree.map(lambda *leaves: np.stack(leaves), *begun)
    many = guide.theta.dimension > loss.size
    for log_sd in _LOG_SDS[1:] if many else _LOG_SDS:
        narrowed = loss.starting_at(log_sd)
        run = minimise_in_turn if isinstance(search.method, FixedDraws) else minimise
        begun = starts
        if isinstance(objective, AnnealedKL) and isinstance(narrowed, NegativeElbo):
            warm = numerics.forked(key, _WARM)
            begun = objective.warmed(search.method, narrowed, starts, warm)
        outcome = run(search.method, narrowed, begun, key=search.key, monitor=search.monitor)
        if outcome.status is not Status.DIVERGED or np.isfinite(outcome.history.objective[0]):
            return Fit(model, narrowed.guide, outcome.parameters, outcome.status, outcome.history)
    raise NonFiniteDensityError(
        f"the objective is not finite at any of {restarts} starts, even with local sds of "
        f"{math.exp(_LOG_SDS[-1]):.2g}; expected a finite log density around unconstrained "
        f"zero: rescale the data or tighten the priors"
    )
