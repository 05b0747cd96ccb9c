r"""Inference functions: maps from a row's context to the raw parameters of its local factor.

The constant factor, F-VI and A-VI are one guide with three of these: `Constant` ignores the
context, `Table` has a free entry per row, the others compute. What may enter: standardized
contexts and row positions. What may not: models, factors, objectives.
"""

from amortis.inference_functions.ascent import (
    AbstractAscentRule,
    AdamSteps,
    GradientAscent,
    LBFGSSteps,
    MomentumSteps,
)
from amortis.inference_functions.constant import Constant
from amortis.inference_functions.context import Parts, SetContext, WindowContext, take
from amortis.inference_functions.encodings import (
    AbstractEncoding,
    AbstractSlopeEncoding,
    Errors,
    LayerNormalized,
    LogSign,
    PlainSlope,
)
from amortis.inference_functions.gates import AbstractGate, Additive, Highway, Replacing
from amortis.inference_functions.growth import Grown, described, grown
from amortis.inference_functions.interface import (
    AbstractInferenceFunction,
    AbstractRowFunction,
    FunctionShape,
)
from amortis.inference_functions.iterated import (
    AbstractIterated,
    Climb,
    RowProblem,
    StepGradients,
)
from amortis.inference_functions.iterative import Iterative
from amortis.inference_functions.mlp import MLP
from amortis.inference_functions.network import Network, as_inference_function
from amortis.inference_functions.polynomial import Polynomial
from amortis.inference_functions.set_network import SetNetwork
from amortis.inference_functions.starts import FromPrior
from amortis.inference_functions.step_weights import AbstractStepWeights, AllSteps, LastStep
from amortis.inference_functions.table import Table
from amortis.inference_functions.windowed import Windowed

__all__ = [
    "MLP",
    "AbstractAscentRule",
    "AbstractEncoding",
    "AbstractGate",
    "AbstractInferenceFunction",
    "AbstractIterated",
    "AbstractRowFunction",
    "AbstractSlopeEncoding",
    "AbstractStepWeights",
    "AdamSteps",
    "Additive",
    "AllSteps",
    "Climb",
    "Constant",
    "Errors",
    "FromPrior",
    "FunctionShape",
    "GradientAscent",
    "Grown",
    "Highway",
    "Iterative",
    "LBFGSSteps",
    "LastStep",
    "LayerNormalized",
    "LogSign",
    "MomentumSteps",
    "Network",
    "Parts",
    "PlainSlope",
    "Polynomial",
    "Replacing",
    "RowProblem",
    "SetContext",
    "SetNetwork",
    "StepGradients",
    "Table",
    "WindowContext",
    "Windowed",
    "as_inference_function",
    "described",
    "grown",
    "take",
]
