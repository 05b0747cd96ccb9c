"""amortis: from a latent variable model to an amortized posterior.

Five verbs: `from_numpyro` binds a model to its data, `fit` fits, and a `Fit` answers `elbo`,
`posterior` and `moments`. Every choice is an object; none has to be made.
"""

from amortis._errors import AmortisError, ArgumentError, DataError, ModelError
from amortis.checking import check
from amortis.diagnostics import Comparison, Diagnosis, Finding, compare, diagnose
from amortis.export import to_arviz
from amortis.families import DiagonalNormal, Point
from amortis.fitting import Estimate, Fit, fit, infer, log_likelihood, predict, refine
from amortis.inference_functions import MLP, Constant, Polynomial, SetNetwork, Table, Windowed
from amortis.model import LatentModel, from_density, from_numpyro
from amortis.objectives import ClosedFormEntropy, StickTheLanding
from amortis.optimise import (
    FixedDraws,
    FreshDraws,
    History,
    Monitor,
    Plateau,
    Progress,
    Status,
)
from amortis.structure import Coupling, Evidence, Input, Kind, Verdict

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "AmortisError",
    "ArgumentError",
    "ClosedFormEntropy",
    "Comparison",
    "Constant",
    "Coupling",
    "DataError",
    "Diagnosis",
    "DiagonalNormal",
    "Estimate",
    "Evidence",
    "Finding",
    "Fit",
    "FixedDraws",
    "FreshDraws",
    "History",
    "Input",
    "Kind",
    "LatentModel",
    "ModelError",
    "Monitor",
    "Plateau",
    "Point",
    "Polynomial",
    "Progress",
    "SetNetwork",
    "Status",
    "StickTheLanding",
    "Table",
    "Verdict",
    "Windowed",
    "check",
    "compare",
    "diagnose",
    "fit",
    "from_density",
    "from_numpyro",
    "infer",
    "log_likelihood",
    "predict",
    "refine",
    "to_arviz",
]
