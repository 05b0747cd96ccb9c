"""`Table`: a free entry per row, which makes the guide factorized VI."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.interface import AbstractRowFunction, FunctionShape


class Table(AbstractRowFunction):
    r"""Factorized VI: $f_\phi(w_n) = \phi_n$, a row of free parameters for each datum.

    Attributes:
        start_sd: standard deviation of the normal numbers that all entries start at; zero, the
            default, starts every row at the same factor. Where the model is learned from the codes
            of its rows, as a decoder is, rows that start apart give it something to learn.

    Raises:
        ArgumentError: a negative standard deviation.

    References:
        Margossian & Blei, *Amortized Variational Inference: When and Why?* (2024), §2.
    """

    start_sd: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        if not 0.0 <= self.start_sd < math.inf:
            raise ArgumentError(
                f"Table start_sd is {self.start_sd}; expected zero or a positive number"
            )

    @property
    def owns_rows(self) -> bool:
        return True

    @property
    def closed_under_linear_maps(self) -> bool:
        return False

    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        if self.start_sd == 0.0:
            return numerics.on_device(numerics.zeros(key, shape.rows, shape.outputs))
        (start,) = numerics.normals(key, [(shape.rows, shape.outputs)])
        return numerics.on_device(self.start_sd * start)

    def __call__(
        self,
        parameters: Parameters,
        context: Float[Array, "batch columns"],
        index: RowIndex | None,
    ) -> Float[Array, "batch outputs"]:
        return parameters if index is None else jnp.take(parameters, index, axis=0)
