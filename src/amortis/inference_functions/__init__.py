r"""Inference functions: maps from a row's context to the raw parameters of its local factor.

The constant factor, F-VI and A-VI are one guide with three of these: `Constant` ignores the
context, `Table` has a free entry per row, the others compute. What may enter: standardized
contexts and row positions. What may not: models, factors, objectives.
"""

from amortis.inference_functions.constant import Constant
from amortis.inference_functions.context import Parts, SetContext, WindowContext, take
from amortis.inference_functions.growth import Grown, described, grown
from amortis.inference_functions.interface import (
    AbstractInferenceFunction,
    AbstractRowFunction,
    FunctionShape,
)
from amortis.inference_functions.mlp import MLP
from amortis.inference_functions.network import Network, as_inference_function
from amortis.inference_functions.polynomial import Polynomial
from amortis.inference_functions.set_network import SetNetwork
from amortis.inference_functions.table import Table
from amortis.inference_functions.windowed import Windowed

__all__ = [
    "MLP",
    "AbstractInferenceFunction",
    "AbstractRowFunction",
    "Constant",
    "FunctionShape",
    "Grown",
    "Network",
    "Parts",
    "Polynomial",
    "SetContext",
    "SetNetwork",
    "Table",
    "WindowContext",
    "Windowed",
    "as_inference_function",
    "described",
    "grown",
    "take",
]
