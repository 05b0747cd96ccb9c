"""amortis: from a latent variable model to an amortized posterior.

`check` says when, `from_numpyro` binds a model to its data, `fit` fits, `diagnose` tells whether it
worked, `refine` and `infer` go on from there. Every choice is an object; none has to be made.
"""

from amortis._errors import AmortisError, ArchiveError, ArgumentError, DataError, ModelError
from amortis._version import __version__
from amortis.checking import check
from amortis.diagnostics import (
    Calibration,
    Comparison,
    Diagnosis,
    Finding,
    InferredBlock,
    Missing,
    Outside,
    SiteCalibration,
    calibrate,
    compare,
    diagnose,
    stream,
)
from amortis.export import AutoAmortizedNormal, load, params_of, save, to_arviz
from amortis.families import Conditional, DiagonalNormal, FullRank, LowRank, Point
from amortis.fitting import (
    Capacity,
    Estimate,
    Fit,
    Trained,
    fit,
    infer,
    log_likelihood,
    predict,
    refine,
    update,
)
from amortis.inference_functions import (
    MLP,
    Constant,
    Network,
    Polynomial,
    SetNetwork,
    Table,
    Windowed,
)
from amortis.model import LatentModel, Locals, from_density, from_numpyro
from amortis.objectives import ClosedFormEntropy, SemiAmortized, StickTheLanding
from amortis.optimise import (
    ConstantRate,
    FixedDraws,
    FreshDraws,
    History,
    Monitor,
    Plateau,
    Progress,
    Status,
)
from amortis.report import report
from amortis.structure import Coupling, Evidence, Input, Kind, Verdict

__all__ = [
    "MLP",
    "AmortisError",
    "ArchiveError",
    "ArgumentError",
    "AutoAmortizedNormal",
    "Calibration",
    "Capacity",
    "ClosedFormEntropy",
    "Comparison",
    "Conditional",
    "Constant",
    "ConstantRate",
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
    "FullRank",
    "History",
    "InferredBlock",
    "Input",
    "Kind",
    "LatentModel",
    "Locals",
    "LowRank",
    "Missing",
    "ModelError",
    "Monitor",
    "Network",
    "Outside",
    "Plateau",
    "Point",
    "Polynomial",
    "Progress",
    "SemiAmortized",
    "SetNetwork",
    "SiteCalibration",
    "Status",
    "StickTheLanding",
    "Table",
    "Trained",
    "Verdict",
    "Windowed",
    "__version__",
    "calibrate",
    "check",
    "compare",
    "diagnose",
    "fit",
    "from_density",
    "from_numpyro",
    "infer",
    "load",
    "log_likelihood",
    "params_of",
    "predict",
    "refine",
    "report",
    "save",
    "stream",
    "to_arviz",
    "update",
]
