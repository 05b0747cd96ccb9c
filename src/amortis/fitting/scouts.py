"""Short searches from several starts, of which the best go on."""

import dataclasses

import numpy as np

from amortis._errors import NonFiniteDensityError
from amortis._types import Parameters, RandomKey
from amortis.families import DiagonalNormal, LowRank, Point
from amortis.fitting.approximation import LogJoint
from amortis.fitting.stages import Loss, Search
from amortis.fitting.start_points import highest_point
from amortis.optimise import FixedDraws, Outcome, Status, apart, minimise

_EVALUATIONS = 60

_MOST_GLOBALS = 256
"""Weights of networks have modes that are as good as each other, and are best begun around zero."""


def scouted(loss: Loss, search: Search, starts: Parameters, key: RandomKey) -> list[Outcome]:
    """Search for a short while from these starts, and from a mode of the log joint.

    The mode is the highest that climbs from several points have led to. It may be one that holds no
    mass, as at the tip of a funnel, or far from the mass: so it is one start more, and the ELBO
    decides. The program of the search that follows serves these short ones as well.

    Args:
        loss: of a model without locals.
        search: how the best will be searched for.
        starts: starts around zero, with a leading axis.
        key: random key of the points that are climbed from.

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
    try:
        mode = highest_point(LogJoint(loss.model, guide.theta), dimension, key)
    except NonFiniteDensityError:
        return []  # the search itself says so
    near = apart(starts)
    raw = np.array(near[0]["globals"])
    raw[:, :dimension] = mode  # these families begin with their mean
    # More draws are for the search that follows.
    fewest = min(_EVALUATIONS, method.evaluations)
    brief = dataclasses.replace(method, evaluations=fewest, most_draws=1)
    outcomes: list[Outcome] = []
    for start in [*near, {**near[0], "globals": raw}]:
        outcome = minimise(brief, loss, start, key=search.key, monitor=search.monitor)
        if outcome.status is not Status.DIVERGED:
            outcomes.append(outcome)
        if outcome.status is Status.INTERRUPTED:
            break
    return sorted(outcomes, key=_last, reverse=True)


def _last(outcome: Outcome) -> float:
    objective = outcome.history.objective
    return float(objective[-1]) if len(objective) else -np.inf
