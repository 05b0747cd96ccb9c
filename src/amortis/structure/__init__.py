"""Structure: which latents and data of a log joint density touch, found on the density itself.

A density over arrays comes in, a `Verdict` goes out. Nothing here knows NumPyro, `LatentModel` or
any inference function.
"""

from amortis.structure.examine import examine
from amortis.structure.joint import AbstractLogJoint, AnyArray, Arrays, Joint, LatentAxis
from amortis.structure.relaxing import used_as_integers
from amortis.structure.verdict import Coupling, Evidence, Input, Kind, Verdict

__all__ = [
    "AbstractLogJoint",
    "AnyArray",
    "Arrays",
    "Coupling",
    "Evidence",
    "Input",
    "Joint",
    "Kind",
    "LatentAxis",
    "Verdict",
    "examine",
    "used_as_integers",
]
