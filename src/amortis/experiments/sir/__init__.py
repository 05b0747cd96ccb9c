"""The boarding-school influenza of 1978: an SIR model that every family of q is fitted to.

May enter: the fourteen counts, fits of the one model, quadrature that knows no fit. STAT 547,
section 6.4.
"""

from amortis.experiments.sir.figures import write_figures
from amortis.experiments.sir.page import summary_text, write_page
from amortis.experiments.sir.results import SirResult, write_json
from amortis.experiments.sir.run import SEEDS, run_sir

__all__ = [
    "SEEDS",
    "SirResult",
    "run_sir",
    "summary_text",
    "write_figures",
    "write_json",
    "write_page",
]
