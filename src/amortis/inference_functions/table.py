"""`Table`: a free entry per row, which makes the guide factorized VI."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis import numerics
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.interface import AbstractRowFunction, FunctionShape


class Table(AbstractRowFunction):
    r"""Factorized VI: $f_\phi(w_n) = \phi_n$, a row of free parameters for each datum.

    References:
        Margossian & Blei, *Amortized Variational Inference: When and Why?* (2024), §2.
    """

    @property
    def owns_rows(self) -> bool:
        return True

    @property
    def closed_under_linear_maps(self) -> bool:
        return False

    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        del key  # starts at zero
        return numerics.on_device(numerics.zeros(shape.rows, shape.outputs))

    def __call__(
        self,
        parameters: Parameters,
        context: Float[Array, "batch columns"],
        index: RowIndex | None,
    ) -> Float[Array, "batch outputs"]:
        return parameters if index is None else jnp.take(parameters, index, axis=0)
