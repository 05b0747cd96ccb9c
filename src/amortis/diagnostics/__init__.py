"""Diagnostics: how much amortization cost, and whether q is close to the posterior."""

from amortis.diagnostics.compare import Comparison, SiteComparison, compare
from amortis.diagnostics.diagnose import diagnose
from amortis.diagnostics.diagnosis import Diagnosis, Finding

__all__ = ["Comparison", "Diagnosis", "Finding", "SiteComparison", "compare", "diagnose"]
