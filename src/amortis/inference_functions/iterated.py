"""What functions have in common that come to a factor by steps along its slope."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._types import Parameters, RowIndex
from amortis.inference_functions.interface import AbstractInferenceFunction
from amortis.inference_functions.step_weights import AbstractStepWeights

RowElbos = Callable[
    [Float[Array, "batch raw"]], tuple[Float[Array, " batch"], Float[Array, "batch raw"]]
]
"""Each row's own ELBO, in nats, at its raw parameters, and its slope in them."""

_LONGEST = 1e6


class AbstractIterated(AbstractInferenceFunction):
    r"""A function of a row's context and of the slope of its own ELBO at every step.

    $\lambda_{t+1} = F(\lambda_t, \nabla_\lambda\mathcal{L}_n(\lambda_t;\theta), w_n)$ for t from
    zero to `steps`. The slope comes as a callable: no such function knows a model.

    Attributes:
        steps: T.
        function_gradient: the iterates whose ELBOs train the function.
        model_gradient: the iterates whose ELBOs train the globals.
        through: whether gradients pass through the steps, their slopes included; if so those of
            the last iterate's ELBO in everything are taken.
    """

    steps: eqx.AbstractVar[int]
    function_gradient: eqx.AbstractVar[AbstractStepWeights]
    model_gradient: eqx.AbstractVar[AbstractStepWeights]
    through: eqx.AbstractVar[bool]

    @abstractmethod
    def iterates(
        self,
        parameters: Parameters,
        context: Any,
        index: RowIndex | None,
        offset: Float[Array, " raw"],
        elbos: RowElbos,
    ) -> Float[Array, "iterates batch raw"]:
        r"""The iterates $\lambda_1, \dots, \lambda_T$, after $\lambda_0$ where that is learned too.

        Args:
            parameters: as made by `init`.
            context: of the batch.
            index: positions of the batch's rows in the data; None for all.
            offset: raw parameters at which factors start.
            elbos: of the rows, with slopes.
        """

    def __call__(
        self, parameters: Parameters, context: Any, index: RowIndex | None
    ) -> Float[Array, "batch outputs"]:
        """Refused: without the model there is no slope.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError(
            f"{type(self).__name__}(...) was asked for factors without a model, whose ELBO it "
            f"climbs; expected a fit bound to data: use amortis.infer(fitted, x_new)"
        )


def bounded(slope: Float[Array, "batch raw"]) -> Float[Array, "batch raw"]:
    """Slopes cut at a length of 1e6 nats, row by row, and at zero where they are no numbers."""
    finite = jnp.all(jnp.isfinite(slope), axis=1, keepdims=True)
    slope = jnp.where(finite, slope, 0.0)
    # The largest component, which cannot overflow when it is squared.
    largest = jnp.max(jnp.abs(slope), axis=1, keepdims=True, initial=0.0)
    return slope * jnp.minimum(1.0, _LONGEST / jnp.maximum(largest, 1e-30))
