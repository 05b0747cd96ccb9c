"""Diagnostics: how much amortization cost, and whether q is close to the posterior."""

from amortis.diagnostics.diagnose import diagnose
from amortis.diagnostics.diagnosis import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
