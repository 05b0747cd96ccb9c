"""`Constant`: one factor for all rows."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.interface import AbstractRowFunction, FunctionShape


class Constant(AbstractRowFunction):
    r"""The constant factor: $f_\phi(w_n) = \phi$ for every row.

    References:
        Margossian & Blei, *Amortized Variational Inference: When and Why?* (2024), §5.
    """

    @property
    def owns_rows(self) -> bool:
        return False

    @property
    def closed_under_linear_maps(self) -> bool:
        return False

    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        del key  # starts at zero
        return jnp.zeros(shape.outputs)

    def __call__(
        self,
        parameters: Parameters,
        context: Float[Array, "batch columns"],
        index: RowIndex | None,
    ) -> Float[Array, "batch outputs"]:
        return jnp.broadcast_to(parameters, (context.shape[0], parameters.shape[0]))
