"""Objectives: the evidence lower bound and its gradient estimators, as losses to minimise.

Brings a model and a guide together; hands optimisers a loss that knows how to make its own noise.
"""

from amortis.objectives.annealed_kl import AnnealedKL
from amortis.objectives.elbo import elbo_draws
from amortis.objectives.fixed_noise import coupled_draws, first_draws, fixed_noise
from amortis.objectives.free_bits import FreeBits, FreeBitsLoss
from amortis.objectives.gradients import AbstractGradient, ClosedFormEntropy, StickTheLanding
from amortis.objectives.held_globals import HeldGlobals
from amortis.objectives.interface import AbstractObjective
from amortis.objectives.loss import NegativeElbo
from amortis.objectives.renyi import ImportanceWeighted, Renyi, RenyiLoss
from amortis.objectives.row_elbos import RowElbos, with_row_elbos
from amortis.objectives.semi_amortized import SemiAmortized, SemiAmortizedElbo

__all__ = [
    "AbstractGradient",
    "AbstractObjective",
    "AnnealedKL",
    "ClosedFormEntropy",
    "FreeBits",
    "FreeBitsLoss",
    "HeldGlobals",
    "ImportanceWeighted",
    "NegativeElbo",
    "Renyi",
    "RenyiLoss",
    "RowElbos",
    "SemiAmortized",
    "SemiAmortizedElbo",
    "StickTheLanding",
    "coupled_draws",
    "elbo_draws",
    "first_draws",
    "fixed_noise",
    "with_row_elbos",
]
