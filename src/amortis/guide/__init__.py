r"""The guide $q(\theta)\prod_n q(z_n; f(w_n))$: sampling, entropy, log density.

Knows families, inference functions and the shapes of a model; never a log density of a model, an
objective or an optimiser.
"""

from amortis.guide.climbing import AbstractRowProblems
from amortis.guide.guide import Guide
from amortis.guide.layout import SiteLayout
from amortis.guide.noise import Noise
from amortis.guide.standardizer import Standardizer

__all__ = ["AbstractRowProblems", "Guide", "Noise", "SiteLayout", "Standardizer"]
