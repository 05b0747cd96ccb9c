"""`Network`: any Equinox or Flax NNX module as an inference function."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._require import require_kind, shown
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.interface import (
    AbstractInferenceFunction,
    AbstractRowFunction,
    FunctionShape,
)
from amortis.inference_functions.modules import Apart, is_module, take_apart

_FIRST_SCALE = 0.1
"""Networks start with outputs of order one, which as log sds would be factors of e. The scale is a
parameter and not a constant, so that a network whose outputs are bounded (a last tanh) can still
reach any factor; with a last linear layer the functions are the same as without it. Subtracting the
network's first outputs instead would start at exactly zero, but in another set of functions."""


class _Built:
    """Hands over a module that the user has built; compiled functions know it by identity."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __call__(self, key: RandomKey, columns: int, outputs: int) -> Any:
        del key, columns, outputs  # it is what it is
        return self.module


def _as_build(given: Any) -> Any:
    if is_module(given):
        return _Built(given)
    if isinstance(given, type) or not callable(given):
        came = f"the class {given.__name__}" if isinstance(given, type) else shown(given)
        raise ArgumentError(
            f"Network got {came}; expected a function (key, columns, outputs) that builds an "
            f"Equinox or Flax NNX module, or a built one: pass lambda key, columns, outputs: ..."
        )
    return given


class Network(AbstractRowFunction):
    r"""A network of the user's: $f_\phi(w_n) = s \odot g_\phi(w_n)$ with g a module of one row.

    The module maps a standardized context row, shape (columns,), to the raw parameters of one local
    factor, shape (outputs,): for `DiagonalNormal()` the means of all latent numbers of a row, then
    their log standard deviations. Its floating point arrays are the parameters, under the names
    that the module has for them; the learned scales s start at 0.1, so that factors start near
    their own start. What is not an array is fixed. A module that keeps state or draws noise
    (batch norm, dropout) is refused, since a factor is a function of its row.

    Attributes:
        build: makes a module from (key, columns, outputs), called again whenever a function is
            compiled, so it must depend on these alone; or a built module, whose parameters are
            then the start of every fit and restart.

    Raises:
        ArgumentError: no module, or at the fit, one of other sizes, with state, or whose outputs
            are not floating point numbers.

    Example:
        >>> import equinox as eqx, jax
        >>> def build(key, columns, outputs):
        ...     return eqx.nn.MLP(columns, outputs, 8, 1, key=key)
        >>> network = Network(build)
        >>> parameters = network.init(jax.random.key(0), FunctionShape(10, 3, 4))
        >>> sorted(parameters["network"])
        ['layers.0.bias', 'layers.0.weight', 'layers.1.bias', 'layers.1.weight']
    """

    build: Callable[..., Any] = eqx.field(static=True, converter=_as_build)

    @property
    def owns_rows(self) -> bool:
        return False

    @property
    def closed_under_linear_maps(self) -> bool:
        return False

    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        apart = self._apart(key, shape.columns, shape.outputs)
        _require_fitting(apart, shape)
        return {"network": apart.arrays, "scale": jnp.full(shape.outputs, _FIRST_SCALE)}

    def __call__(
        self,
        parameters: Parameters,
        context: Float[Array, "batch columns"],
        index: RowIndex | None,
    ) -> Float[Array, "batch outputs"]:
        scale = parameters["scale"]
        call = self._call(context.shape[1], scale.shape[0])
        return scale * jax.vmap(lambda row: call(parameters["network"], row))(context)

    def _call(self, columns: int, outputs: int) -> Callable[..., Any]:
        """What the module does with given arrays; it is built abstractly, without numbers."""
        found: list[Apart] = []

        def arrays(key: RandomKey) -> dict[str, Array]:
            found.append(self._apart(key, columns, outputs))
            return found[0].arrays

        jax.eval_shape(arrays, jax.random.key(0))  # its value is not used
        return found[0].call

    def _apart(self, key: RandomKey, columns: int, outputs: int) -> Apart:
        try:
            module = self.build(key, columns, outputs)
        except ArgumentError:
            raise
        except Exception as error:
            raise ArgumentError(
                f"Network could not be built: {_line(error)}; expected a function that takes "
                f"(key, columns, outputs), here (key, {columns}, {outputs}), and returns a module"
            ) from error
        return take_apart(module)


def as_inference_function(value: Any) -> AbstractInferenceFunction:
    """An inference function, or a built module as one.

    Args:
        value: an inference function, or a module of Equinox or Flax NNX.

    Raises:
        ArgumentError: it is neither.
    """
    if isinstance(value, AbstractInferenceFunction):
        return value
    if is_module(value):
        return Network(value)
    if not callable(value) or isinstance(value, type):
        require_kind("inference", value, AbstractInferenceFunction, "amortis.MLP()")
    raise ArgumentError(
        f"inference is {shown(value)}; expected an object such as amortis.MLP(): if it is a "
        f"function (key, columns, outputs) that builds a network, pass amortis.Network(it)"
    )


def _require_fitting(apart: Apart, shape: FunctionShape) -> None:
    """Refuse a network that does not map a row to the raw parameters of a local factor."""
    row = jax.ShapeDtypeStruct((shape.columns,), jnp.result_type(float))
    wanted = (
        f"a row of {shape.columns} numbers to {shape.outputs}, the raw parameters of a row's local "
        f"factor"
    )
    try:
        found = jax.eval_shape(apart.call, apart.arrays, row)
    except Exception as error:
        raise ArgumentError(
            f"Network raised {_line(error)}; expected a module that maps {wanted}: build it with "
            f"these sizes"
        ) from error
    if not isinstance(found, jax.ShapeDtypeStruct) or not jnp.issubdtype(found.dtype, jnp.floating):
        came = getattr(found, "dtype", type(found).__name__)
        raise ArgumentError(
            f"Network returns {came}; expected one array of floating point numbers: it maps "
            f"{wanted}"
        )
    if found.shape != (shape.outputs,):
        raise ArgumentError(
            f"Network returns shape {found.shape}; expected ({shape.outputs},): it maps {wanted}, "
            f"for DiagonalNormal() means and then log sds"
        )


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
