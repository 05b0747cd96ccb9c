"""Fitting: composes model, guide, objective and optimiser, and the record of what came out.

Short on purpose: anything that computes belongs to a room below.
"""

from amortis.fitting.draws import constrained, shapes_of
from amortis.fitting.estimate import Estimate
from amortis.fitting.fit import fit
from amortis.fitting.infer import infer
from amortis.fitting.log_densities import log_densities
from amortis.fitting.predict import log_likelihood, predict, require_few
from amortis.fitting.record import Fit
from amortis.fitting.refine import refine
from amortis.fitting.row_optima import optimal_rows, row_blocks, row_noise

__all__ = [
    "Estimate",
    "Fit",
    "constrained",
    "fit",
    "infer",
    "log_densities",
    "log_likelihood",
    "optimal_rows",
    "predict",
    "refine",
    "require_few",
    "row_blocks",
    "row_noise",
    "shapes_of",
]
