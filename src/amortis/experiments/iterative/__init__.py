"""Learning to infer on images: the experiments of Marino, Yue & Mandt (2018), at two cores' size.

May enter: binarised images, and fits of one decoder by one inference function after the other.
"""

from amortis.experiments.iterative.run import IterativeResult, run_iterative
from amortis.experiments.iterative.sheet import iterative_sheet
from amortis.experiments.iterative.sizes import FULL, SHORT, SHORT_TWO_LEVELS, IterativeSize

__all__ = [
    "FULL",
    "SHORT",
    "SHORT_TWO_LEVELS",
    "IterativeResult",
    "IterativeSize",
    "iterative_sheet",
    "run_iterative",
]
