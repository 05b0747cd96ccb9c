"""Fitting: composes model, guide, objective and optimiser, and the record of what came out.

Short on purpose: anything that computes belongs to a room below.
"""

from amortis.fitting.choose import with_inference
from amortis.fitting.estimate import Estimate
from amortis.fitting.fit import fit
from amortis.fitting.infer import infer
from amortis.fitting.record import Fit
from amortis.fitting.refine import refine
from amortis.fitting.row_optima import optimal_rows, row_blocks, row_noise

__all__ = [
    "Estimate",
    "Fit",
    "fit",
    "infer",
    "optimal_rows",
    "refine",
    "row_blocks",
    "row_noise",
    "with_inference",
]
