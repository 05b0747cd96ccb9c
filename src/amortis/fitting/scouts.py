"""Short searches from several starts, of which the best go on."""

import dataclasses

import numpy as np

from amortis._types import Parameters, RandomKey
from amortis.families import DiagonalNormal, LowRank, Point
from amortis.fitting.approximation import LogJoint
from amortis.fitting.stages import Loss, Search
from amortis.fitting.start_points import more_points
from amortis.optimise import FixedDraws, Outcome, Status, apart, minimise

_EVALUATIONS = 60

_MOST_GLOBALS = 256
"""Weights of networks have modes that are as good as each other, and are best begun around zero."""


def scouted(loss: Loss, search: Search, starts: Parameters, key: RandomKey) -> list[Outcome]:
    """Search for a short while from these starts and from further away.

    The program of the search that follows serves these as well, so that nothing more is compiled.

    Args:
        loss: of a model without locals.
        search: how the best will be searched for.
        starts: starts around zero, with a leading axis.
        key: random key of those further away.

    Returns:
        What they came to, from the best on, without those that diverged; all until Ctrl-C, where
        the status of one is `INTERRUPTED`. Empty where searches are not with fixed draws, where
        there are hundreds of globals, or the family has no mean to be moved.
    """
    guide, method = loss.guide, search.method
    dimension = guide.theta.dimension
    movable = isinstance(guide.global_family, DiagonalNormal | LowRank | Point)
    few = 0 < dimension <= _MOST_GLOBALS
    if not few or not movable or not isinstance(method, FixedDraws):
        return []
    near = apart(starts)
    afar: list[Parameters] = []
    for point in more_points(LogJoint(loss.model, guide.theta), dimension, key):
        raw = near[0]["globals"].copy()
        raw[:, :dimension] = point  # these families begin with their mean
        afar.append({**near[0], "globals": raw})
    brief = dataclasses.replace(method, evaluations=min(_EVALUATIONS, method.evaluations))
    outcomes: list[Outcome] = []
    for start in [*near, *afar]:
        outcome = minimise(brief, loss, start, key=search.key, monitor=search.monitor)
        if outcome.status is not Status.DIVERGED:
            outcomes.append(outcome)
        if outcome.status is Status.INTERRUPTED:
            break
    return sorted(outcomes, key=_last, reverse=True)


def _last(outcome: Outcome) -> float:
    objective = outcome.history.objective
    return float(objective[-1]) if len(objective) else -np.inf
