"""Fitting: composes model, guide, objective and optimiser, and the record of what came out.

Short on purpose: anything that computes belongs to a room below.
"""

from amortis.fitting.approximation import AbstractApproximation, LogJoint, value_at
from amortis.fitting.batch_and_match import BatchAndMatch
from amortis.fitting.capacity_record import Capacity, CapacityStep
from amortis.fitting.choose import with_inference
from amortis.fitting.cut_slopes import CutSlopes, cut_slopes
from amortis.fitting.draws import constrained, shapes_of
from amortis.fitting.estimate import Estimate
from amortis.fitting.fit import fit
from amortis.fitting.frame import unconstrained_covariance
from amortis.fitting.gap import Gap, amortization_gap, blocks_of, raw_of, separated
from amortis.fitting.infer import bound_to, infer, require_function
from amortis.fitting.laplace import Laplace
from amortis.fitting.log_densities import log_densities
from amortis.fitting.modes import distinct_modes, is_same
from amortis.fitting.paired import independent_noise, mean_and_se, seed_of
from amortis.fitting.pathfinder import Pathfinder
from amortis.fitting.predict import log_likelihood, predict, require_few
from amortis.fitting.record import Fit
from amortis.fitting.refine import refine
from amortis.fitting.resample import resample
from amortis.fitting.row_optima import (
    optimal_rows,
    polished_rows,
    polishing_noise,
    row_blocks,
    row_noise,
)
from amortis.fitting.start_points import climbed, climbed_from
from amortis.fitting.step_gaps import StepGaps, step_gaps
from amortis.fitting.trained import Trained
from amortis.fitting.update import InheritedRebind, update
from amortis.fitting.with_steps import with_steps

__all__ = [
    "AbstractApproximation",
    "BatchAndMatch",
    "Capacity",
    "CapacityStep",
    "CutSlopes",
    "Estimate",
    "Fit",
    "Gap",
    "InheritedRebind",
    "Laplace",
    "LogJoint",
    "Pathfinder",
    "StepGaps",
    "Trained",
    "amortization_gap",
    "blocks_of",
    "bound_to",
    "climbed",
    "climbed_from",
    "constrained",
    "cut_slopes",
    "distinct_modes",
    "fit",
    "independent_noise",
    "infer",
    "is_same",
    "log_densities",
    "log_likelihood",
    "mean_and_se",
    "optimal_rows",
    "polished_rows",
    "polishing_noise",
    "predict",
    "raw_of",
    "refine",
    "require_few",
    "require_function",
    "resample",
    "row_blocks",
    "row_noise",
    "seed_of",
    "separated",
    "shapes_of",
    "step_gaps",
    "unconstrained_covariance",
    "update",
    "value_at",
    "with_inference",
    "with_steps",
]
