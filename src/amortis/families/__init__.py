"""Factors over the unconstrained reals: for the globals, and for one row's locals.

A factor is a choice without state; its raw parameters come from the optimiser (globals) or from an
inference function (locals). What may not enter: models, data, row positions.
"""

from amortis.families.conditional import Conditional
from amortis.families.diagonal import DiagonalNormal
from amortis.families.flow import Flow
from amortis.families.flow_layers import AbstractLayers, AutoregressiveLayers, CouplingLayers
from amortis.families.flow_transformers import AbstractTransformer, Affine, Spline
from amortis.families.framed import Framed
from amortis.families.framed_mean import FramedMean
from amortis.families.full_rank import FullRank, full_rank_parts, full_rank_raw
from amortis.families.interface import AbstractAffineFamily, AbstractFamily
from amortis.families.low_rank import LowRank
from amortis.families.mixture import Mixture, component_draws, components_of
from amortis.families.partly_point import PartlyPoint
from amortis.families.point import Point

__all__ = [
    "AbstractAffineFamily",
    "AbstractFamily",
    "AbstractLayers",
    "AbstractTransformer",
    "Affine",
    "AutoregressiveLayers",
    "Conditional",
    "CouplingLayers",
    "DiagonalNormal",
    "Flow",
    "Framed",
    "FramedMean",
    "FullRank",
    "LowRank",
    "Mixture",
    "PartlyPoint",
    "Point",
    "Spline",
    "component_draws",
    "components_of",
    "full_rank_parts",
    "full_rank_raw",
]
