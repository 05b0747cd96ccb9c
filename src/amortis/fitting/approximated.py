"""Fits whose q an approximation such as `Pathfinder()` has found."""

import time

import numpy as np

from amortis._types import RandomKey
from amortis.families import DiagonalNormal
from amortis.fitting.approximation import AbstractApproximation, log_density_of
from amortis.fitting.record import Fit
from amortis.guide import Guide, SiteLayout
from amortis.inference_functions import Constant
from amortis.model import LatentModel
from amortis.optimise import History


def approximated(model: LatentModel, approximation: AbstractApproximation, key: RandomKey) -> Fit:
    """Let an approximation find q of all latents.

    Args:
        model: a model without locals.
        approximation: how.
        key: random key, handed to the approximation as it is.

    Returns:
        The fit. Its history has one entry, with the ELBO unknown.

    Raises:
        ArgumentError: the model has local latents.
    """
    started = time.perf_counter()
    log_density = log_density_of(model, approximation)
    dimension = SiteLayout(model.globals_).dimension
    found = approximation.find(log_density, dimension, key=key)
    guide = Guide.for_model(model, Constant(), found.family, DiagonalNormal())
    history = History(
        seconds=np.asarray([time.perf_counter() - started]),
        objective=np.asarray([np.nan]),
        draws=np.asarray([0]),
        iterations=np.asarray([found.iterations]),
    )
    variational = {"globals": found.raw, "locals": guide.init(key)["locals"]}
    return Fit(model, guide, variational, found.status, history, found=found.record)
