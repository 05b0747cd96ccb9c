"""`Windowed`: a function of the rows around a unit's own."""

import operator
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._require import require_kind
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.context import Parts, WindowContext
from amortis.inference_functions.interface import (
    AbstractInferenceFunction,
    AbstractRowFunction,
    FunctionShape,
)
from amortis.model import Inputs


def _as_offsets(offsets: Any) -> tuple[int, ...]:
    try:
        given: tuple[Any, ...] = tuple(offsets) if isinstance(offsets, Iterable) else (offsets,)
        return tuple(operator.index(offset) for offset in given)
    except TypeError as error:
        raise ArgumentError(
            f"Windowed offsets are {offsets!r}; expected whole numbers, as in (-1, 0): list the "
            f"rows to read relative to a unit's own"
        ) from error


class Windowed(AbstractInferenceFunction):
    r"""An inner function of the rows at fixed offsets: $f_\phi((w_{n+o})_{o\in O})$.

    Units near an end that lack a row of their window have free parameters of their own (Remark 3.7
    of the paper), so that the function itself need not be right there. For new data there are no
    such parameters, and the missing rows are taken to be average.

    Attributes:
        inner: a function of rows, such as `MLP()`; it gets the rows of a window side by side.
        offsets: the rows that a window has, relative to a unit's own.

    Raises:
        ArgumentError: no offsets, an offset twice, or an inner function that is not one of rows.

    References:
        Margossian & Blei, *Amortized Variational Inference: When and Why?* (2024), §3.2 and 5.3.
    """

    inner: AbstractRowFunction
    offsets: tuple[int, ...] = eqx.field(static=True, converter=_as_offsets)

    def __check_init__(self) -> None:
        require_kind("inner", self.inner, AbstractRowFunction, "amortis.MLP()")
        if self.inner.owns_rows:
            raise ArgumentError(
                f"Windowed got {type(self.inner).__name__}() inside, which gives every unit "
                f"parameters of its own and reads no rows; expected a function of rows, such as "
                f"MLP()"
            )
        if not self.offsets or len(set(self.offsets)) < len(self.offsets):
            raise ArgumentError(
                f"Windowed offsets are {self.offsets}; expected at least one, each once, as in "
                f"(-1, 0): list the rows to read relative to a unit's own"
            )

    @property
    def owns_rows(self) -> bool:
        return False

    @property
    def closed_under_linear_maps(self) -> bool:
        return self.inner.closed_under_linear_maps

    @property
    def shortens_rows(self) -> bool:
        return self.inner.shortens_rows

    def arrange(self, inputs: Inputs) -> Parts:
        if inputs.members is not None:
            raise ArgumentError(
                "inference is Windowed(...) but the units of this model own groups of rows; "
                "expected a function of sets: use SetNetwork()"
            )
        series = inputs.rows if inputs.series is None else inputs.series.values
        stride = 1 if inputs.series is None else inputs.series.stride
        own = np.arange(inputs.rows.shape[0])[:, None] * stride
        place = own + np.asarray(self.offsets)
        there = (place >= 0) & (place < series.shape[0])
        # A missing row is an average one, which the standardized context reads as zeros.
        place = np.clip(place, 0, series.shape[0] - 1)
        if isinstance(series, Tracer):
            windows = jnp.where(there[:, :, None], series[place], jnp.mean(series, axis=0))
        else:  # on the host: every operation on a device would be compiled first
            values = np.asarray(series)
            windows = np.where(there[:, :, None], values[place], values.mean(axis=0))
            windows = jax.device_put(windows)
        whole = there.all(axis=1)
        edge = np.where(whole, -1, np.cumsum(~whole) - 1)
        return Parts(windows.reshape(windows.shape[0], -1), edge=jnp.asarray(edge))

    def context(self, parts: Parts) -> WindowContext:
        assert parts.edge is not None  # `arrange` has made them
        return WindowContext(parts.rows, parts.edge)

    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        if shape.edges == shape.rows:
            raise ArgumentError(
                f"Windowed offsets are {self.offsets}, but none of the {shape.rows} units has rows "
                f"at all of them; expected a window that some unit has: use a narrower one"
            )
        return {
            "inner": self.inner.init(key, shape),
            "edges": numerics.on_device(numerics.zeros(key, shape.edges, shape.outputs)),
        }

    def step_sizes(self, parameters: Parameters) -> Parameters:
        sizes: Parameters = super().step_sizes(parameters)
        return {**sizes, "inner": self.inner.step_sizes(parameters["inner"])}

    def __call__(
        self, parameters: Parameters, context: WindowContext, index: RowIndex | None
    ) -> Float[Array, "batch outputs"]:
        outputs = self.inner(parameters["inner"], context.rows, index)
        edges = parameters["edges"]
        if edges.shape[0] == 0:
            return outputs
        free = edges[jnp.maximum(context.edge, 0)]
        return jnp.where((context.edge >= 0)[:, None], free, outputs)
