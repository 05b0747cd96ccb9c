"""Optimising a stochastic loss: three methods, one loop, stopping rules, and how it ended.

Knows a loss as a callable with its own noise, never a model or a guide.
"""

from amortis.optimise.constant_rate import ConstantRate
from amortis.optimise.fixed_draws import FixedDraws
from amortis.optimise.fresh_draws import FreshDraws
from amortis.optimise.interface import AbstractMethod, Progress, StochasticLoss
from amortis.optimise.lbfgs import lbfgs_init, lbfgs_step
from amortis.optimise.loop import History, Monitor, Outcome, minimise, minimise_in_turn
from amortis.optimise.minimised import Minimum, minimised
from amortis.optimise.pathfinder import PATHS, Paths, pathfinder, random_starts, resampled
from amortis.optimise.restarts import apart
from amortis.optimise.status import Status
from amortis.optimise.stopping import Plateau
from amortis.optimise.warm_up import warmed_up

__all__ = [
    "PATHS",
    "AbstractMethod",
    "ConstantRate",
    "FixedDraws",
    "FreshDraws",
    "History",
    "Minimum",
    "Monitor",
    "Outcome",
    "Paths",
    "Plateau",
    "Progress",
    "Status",
    "StochasticLoss",
    "apart",
    "lbfgs_init",
    "lbfgs_step",
    "minimise",
    "minimise_in_turn",
    "minimised",
    "pathfinder",
    "random_starts",
    "resampled",
    "warmed_up",
]
