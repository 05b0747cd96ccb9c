"""Gaussian variational inference as STAT 547 teaches it (chapter 6), with the truth beside it.

May enter: targets whose moments or optima are known in closed form or by quadrature.
"""

from amortis.experiments.gaussian_vi.gaussian_target import SHORT as SHORT_TARGET
from amortis.experiments.gaussian_vi.gaussian_target import TargetSize, run_gaussian_target
from amortis.experiments.gaussian_vi.pages import stochastic_sheet, symmetry_sheet, target_sheet
from amortis.experiments.gaussian_vi.stochastic import SHORT as SHORT_STOCHASTIC
from amortis.experiments.gaussian_vi.stochastic import StochasticSize, run_stochastic
from amortis.experiments.gaussian_vi.symmetry import SHORT as SHORT_SYMMETRY
from amortis.experiments.gaussian_vi.symmetry import SymmetrySize, run_symmetry

__all__ = [
    "SHORT_STOCHASTIC",
    "SHORT_SYMMETRY",
    "SHORT_TARGET",
    "StochasticSize",
    "SymmetrySize",
    "TargetSize",
    "run_gaussian_target",
    "run_stochastic",
    "run_symmetry",
    "stochastic_sheet",
    "symmetry_sheet",
    "target_sheet",
]
