"""A user's model as the rest of the library sees it: `LatentModel`, from NumPyro or from densities.

The only room that imports `numpyro`. What leaves it is log densities of unconstrained values, by
row, in nats, with every constant kept.
"""

from amortis.model.from_density import from_density
from amortis.model.from_numpyro import from_numpyro
from amortis.model.inputs import Inputs, Membership, Series
from amortis.model.latent_model import AbstractDensity, LatentModel, LogTerms
from amortis.model.numpyro_joint import joint_of
from amortis.model.observed_sites import Outline, log_likelihoods, outline, replicate

__all__ = [
    "AbstractDensity",
    "Inputs",
    "LatentModel",
    "LogTerms",
    "Membership",
    "Outline",
    "Series",
    "from_density",
    "from_numpyro",
    "joint_of",
    "log_likelihoods",
    "outline",
    "replicate",
]
