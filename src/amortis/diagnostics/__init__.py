"""Diagnostics: how much amortization cost, and whether q is close to the posterior."""

from amortis.diagnostics.calibration import calibrate
from amortis.diagnostics.calibration_record import Calibration, SiteCalibration
from amortis.diagnostics.collapse import Collapse
from amortis.diagnostics.compare import Comparison, SiteComparison, compare
from amortis.diagnostics.diagnose import diagnose
from amortis.diagnostics.diagnosis import Diagnosis
from amortis.diagnostics.finding import Finding
from amortis.diagnostics.held_out import HeldOut
from amortis.diagnostics.inferred import InferredBlock, Missing, Outside
from amortis.diagnostics.missed_modes import MissedMode
from amortis.diagnostics.select_family import Candidate, Factors, Selection, select_family
from amortis.diagnostics.spread import Spread
from amortis.diagnostics.stream import stream

__all__ = [
    "Calibration",
    "Candidate",
    "Collapse",
    "Comparison",
    "Diagnosis",
    "Factors",
    "Finding",
    "HeldOut",
    "InferredBlock",
    "MissedMode",
    "Missing",
    "Outside",
    "Selection",
    "SiteCalibration",
    "SiteComparison",
    "Spread",
    "calibrate",
    "compare",
    "diagnose",
    "select_family",
    "stream",
]
