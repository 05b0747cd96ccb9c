"""Fitting: composes model, guide, objective and optimiser, and the record of what came out.

Short on purpose: anything that computes belongs to a room below.
"""

from amortis.fitting.estimate import Estimate
from amortis.fitting.fit import fit
from amortis.fitting.infer import bound_to, infer, require_function
from amortis.fitting.record import Fit
from amortis.fitting.refine import refine
from amortis.fitting.row_optima import optimal_rows, row_blocks, row_noise
from amortis.fitting.update import update

__all__ = [
    "Estimate",
    "Fit",
    "bound_to",
    "fit",
    "infer",
    "optimal_rows",
    "refine",
    "require_function",
    "row_blocks",
    "row_noise",
    "update",
]
