"""Factors over the unconstrained reals: for the globals, and for one row's locals.

A factor is a choice without state; its raw parameters come from the optimiser (globals) or from an
inference function (locals). What may not enter: models, data, row positions.
"""

from amortis.families.diagonal import DiagonalNormal
from amortis.families.interface import AbstractFamily
from amortis.families.point import Point

__all__ = ["AbstractFamily", "DiagonalNormal", "Point"]
