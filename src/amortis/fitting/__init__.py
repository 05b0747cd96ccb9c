"""Fitting: composes model, guide, objective and optimiser, and the record of what came out.

Short on purpose: anything that computes belongs to a room below.
"""

from amortis.fitting.estimate import Estimate
from amortis.fitting.fit import fit
from amortis.fitting.record import Fit
from amortis.fitting.refine import refine

__all__ = ["Estimate", "Fit", "fit", "refine"]
