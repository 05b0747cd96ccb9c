"""What a NumPyro model must hold when it is bound, and when it is bound again."""

from collections.abc import Callable

from amortis.model.checks import check_identity, check_rows, check_start
from amortis.model.latent_model import LatentModel
from amortis.model.numpyro_density import NumPyroDensity
from amortis.model.support import check_support

Check = Callable[[LatentModel], LatentModel]
"""Hands a model on that holds what it must; raises otherwise."""


def checked(model: LatentModel) -> LatentModel:
    """The model, held against NumPyro's own log density.

    Raises:
        ModelError: what `check_identity`, `check_support` and `check_start` refuse.
    """
    density = _density(model)
    finite = check_identity(model, density.log_density, rescaled=density.subsampled)
    return _with_data(model, finite)


def checked_again(model: LatentModel) -> LatentModel:
    """The model, whose function was held against NumPyro before, on other data.

    Raises:
        ModelError: what `check_rows`, `check_support` and `check_start` refuse.
    """
    return _with_data(model, check_rows(model))


def _with_data(model: LatentModel, finite: bool) -> LatentModel:
    check_support(model)
    if not finite:
        check_start(model, _density(model).site_log_probs)
    return model


def _density(model: LatentModel) -> NumPyroDensity:
    density = model.density
    assert isinstance(density, NumPyroDensity)
    return density
