"""What leaves the house: archives for later, and fits and guides in the forms of other libraries.

May enter: fits and their diagnoses. May not: models' code or training data in what is written.
"""

from amortis.export.archive import load, save
from amortis.export.arviz import to_arviz
from amortis.export.auto_guide import AutoAmortizedNormal
from amortis.export.binding import params_of

__all__ = ["AutoAmortizedNormal", "load", "params_of", "save", "to_arviz"]
