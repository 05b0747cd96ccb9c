"""The prior of the locals, where a model tells it apart from the likelihood."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis.guide import Guide
from amortis.inference_functions import AbstractIterated
from amortis.model import LatentModel, LogTerms


def require_local_priors(objective: str, model: LatentModel, guide: Guide) -> None:
    """Refuse what an objective that weighs the locals' divergence cannot be made of.

    Args:
        objective: as a message shows it.
        model: the model.
        guide: the guide.

    Raises:
        ArgumentError: no locals, a density that does not tell their prior apart, or a function
            that is trained on its own steps.
    """
    if not model.locals_:
        raise ArgumentError(
            f"objective is {objective}, but the model has no local latents; expected a divergence "
            f"to weigh: leave the objective out"
        )
    theta = {name: jnp.zeros(shape) for name, shape in model.globals_.items()}
    terms = jax.eval_shape(model.log_terms, theta, model.zeros(model.size))
    if terms.local_priors is None:
        raise ArgumentError(
            f"objective is {objective}, but this model does not tell log p(z) from log p(x given "
            f"z); expected a model by rows or groups made by from_numpyro: leave the objective out"
        )
    inference = guide.inference
    if isinstance(inference, AbstractIterated) and not inference.gradients.through:
        raise ArgumentError(
            f"objective is {objective}, but {type(inference).__name__}(...) is trained on its own "
            f"steps; expected another inference function: leave the objective out"
        )


def local_priors(terms: LogTerms) -> Mapping[str, Float[Array, " rows"]]:
    """The locals' log priors by site, of a model that has been required to tell them."""
    assert terms.local_priors is not None
    return terms.local_priors
