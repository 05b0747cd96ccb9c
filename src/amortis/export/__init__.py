"""Fits for other programs, and for later: archives that hold no code and no data.

May enter: fits. May not: models' functions or training data in what is written.
"""

from amortis.export.archive import load, save

__all__ = ["load", "save"]
