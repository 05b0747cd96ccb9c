"""A user's model as the rest of the library sees it: `LatentModel`, from NumPyro or from densities.

The only room that imports `numpyro`. What leaves it is log densities of unconstrained values, by
row, in nats, with every constant kept.
"""

from amortis.model.argument_form import ArgumentForm, ArgumentLeaf
from amortis.model.arguments import Arguments
from amortis.model.bound_call import BoundCall
from amortis.model.from_density import from_density
from amortis.model.from_numpyro import Rebind, from_numpyro
from amortis.model.given_data import GivenData, given_data
from amortis.model.inputs import Inputs, Membership, Series
from amortis.model.latent_model import AbstractDensity, LatentModel, LogTerms
from amortis.model.numpyro_joint import joint_of
from amortis.model.observed_sites import Outline, log_likelihoods, outline, replicate
from amortis.model.parameter_sites import ParameterSite, parameter_values
from amortis.model.path_density import by_unit
from amortis.model.plates import Locals
from amortis.model.rebinding import AbstractRebind
from amortis.model.row_sites import error_columns, prior_moments, row_errors
from amortis.model.simulate import (
    NewArguments,
    SimulatedUnit,
    Simulation,
    plan_simulation,
    require_observed,
    simulate_unit,
)

__all__ = [
    "AbstractDensity",
    "AbstractRebind",
    "ArgumentForm",
    "ArgumentLeaf",
    "Arguments",
    "BoundCall",
    "GivenData",
    "Inputs",
    "LatentModel",
    "Locals",
    "LogTerms",
    "Membership",
    "NewArguments",
    "Outline",
    "ParameterSite",
    "Rebind",
    "Series",
    "SimulatedUnit",
    "Simulation",
    "by_unit",
    "error_columns",
    "from_density",
    "from_numpyro",
    "given_data",
    "joint_of",
    "log_likelihoods",
    "outline",
    "parameter_values",
    "plan_simulation",
    "prior_moments",
    "replicate",
    "require_observed",
    "row_errors",
    "simulate_unit",
]
