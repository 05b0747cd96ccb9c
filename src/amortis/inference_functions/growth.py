"""The next larger inference function, with parameters that make it the same function at first."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from amortis import numerics
from amortis._types import Parameters, RandomKey
from amortis.inference_functions.constant import Constant
from amortis.inference_functions.interface import AbstractInferenceFunction, FunctionShape
from amortis.inference_functions.mlp import MLP
from amortis.inference_functions.polynomial import Polynomial
from amortis.inference_functions.set_network import SetNetwork
from amortis.inference_functions.windowed import Windowed

_FIRST_SET_WIDTH, _MOST_TERMS = 4, 5000


class Grown(NamedTuple):
    """A larger function.

    Attributes:
        function: the choice.
        parameters: with which it gives the outputs of the smaller one.
    """

    function: AbstractInferenceFunction
    parameters: Parameters


def grown(
    function: AbstractInferenceFunction,
    parameters: Parameters,
    *,
    key: RandomKey,
    shape: FunctionShape,
) -> Grown | None:
    """The next larger function of the same kind, started where the smaller one is.

    Perceptrons and set networks double their width: new units read at random and are not read yet.
    Polynomials gain a degree, with zero coefficients. A constant becomes linear.

    Args:
        function: the smaller function.
        parameters: its parameters.
        key: random key of new units.
        shape: the sizes it was made for.

    Returns:
        The larger one; None where there is none.
    """
    match function:
        case Constant():
            zeros = np.zeros((shape.columns, parameters.shape[0]), parameters.dtype)
            linear = np.concatenate([np.asarray(parameters)[None], zeros])
            return Grown(Polynomial(1), numerics.on_device(linear))
        case Polynomial():
            return _higher_degree(function, parameters, shape)
        case MLP():
            return _wider_perceptron(function, parameters, key, shape)
        case SetNetwork():
            return _wider_set_network(function, parameters, key, shape)
        case Windowed():
            inner = grown(function.inner, parameters["inner"], key=key, shape=shape)
            if inner is None:
                return None
            assert isinstance(inner.function, MLP | Polynomial)  # what functions of rows grow into
            larger = Windowed(inner.function, function.offsets)
            return Grown(larger, {**parameters, "inner": inner.parameters})
        case _:
            return None


def described(function: AbstractInferenceFunction) -> str:
    """The choice with all that it holds, such as `MLP(width=16, depth=2, skip=True, tanh)`.

    Args:
        function: any inference function.
    """
    parts: list[str] = []
    for field in dataclasses.fields(function):
        value = getattr(function, field.name)
        if isinstance(value, AbstractInferenceFunction):
            parts.append(described(value))
        elif callable(value):
            parts.append(getattr(value, "__name__", type(value).__name__))
        else:
            parts.append(f"{field.name}={value}")
    return f"{type(function).__name__}({', '.join(parts)})"


def _higher_degree(
    function: Polynomial, parameters: Parameters, shape: FunctionShape
) -> Grown | None:
    degree = function.degree + 1
    terms = math.comb(shape.columns + degree, degree)
    if terms > _MOST_TERMS:
        return None
    more = np.zeros((terms - parameters.shape[0], parameters.shape[1]), parameters.dtype)
    # Terms are ordered by their total degree.
    longer = np.concatenate([np.asarray(parameters), more])
    return Grown(Polynomial(degree), numerics.on_device(longer))


def _wider_perceptron(
    function: MLP, parameters: Parameters, key: RandomKey, shape: FunctionShape
) -> Grown:
    larger = MLP(2 * function.width, function.depth, function.skip, function.activation)
    fresh, parameters = _on_host(larger.init(key, shape)), _on_host(parameters)
    layers: list[dict[str, np.ndarray]] = []
    for i, (old, new) in enumerate(zip(parameters["layers"], fresh["layers"], strict=True)):
        weight = _corner(new["weight"], old["weight"], unread=i > 0)
        layers.append({"weight": weight, "bias": _head(new["bias"], old["bias"])})
    last = _head(np.zeros_like(fresh["last"]), parameters["last"])
    return Grown(larger, numerics.on_device({**parameters, "layers": layers, "last": last}))


def _wider_set_network(
    function: SetNetwork, parameters: Parameters, key: RandomKey, shape: FunctionShape
) -> Grown:
    width = 2 * function.width if function.width else _FIRST_SET_WIDTH
    larger = SetNetwork(width)
    fresh, parameters = _on_host(larger.init(key, shape)), _on_host(parameters)
    kept = ("group", "row", "shift")
    potentials = {name: parameters[name] for name in kept if name in parameters}
    if not function.width:
        last = np.zeros_like(fresh["last"])
        return Grown(larger, numerics.on_device({**fresh, **potentials, "last": last}))
    pooled, old = fresh["pooled"], parameters["pooled"]
    # The pooled perceptron reads outputs, averages of the features, and the group's own row.
    split = shape.at_mean + function.width
    added = width - function.width
    weight = pooled["weight"].copy()
    weight[:, : function.width] = 0.0
    weight[:split, : function.width] = old["weight"][:split]
    weight[split + added :, : function.width] = old["weight"][split:]
    return Grown(
        larger,
        numerics.on_device(
            {
                **potentials,
                "features": {
                    "weight": _corner(
                        fresh["features"]["weight"], parameters["features"]["weight"], unread=False
                    ),
                    "bias": _head(fresh["features"]["bias"], parameters["features"]["bias"]),
                },
                "from_features": _head(fresh["from_features"], parameters["from_features"]),
                "pooled": {"weight": weight, "bias": _head(pooled["bias"], old["bias"])},
                "last": _head(np.zeros_like(fresh["last"]), parameters["last"]),
            }
        ),
    )


def _on_host(parameters: Parameters) -> dict[str, Any]:
    """Arrays that can be written into: on a device every piece of this would be compiled."""
    return jax.tree.map(lambda leaf: np.array(leaf), parameters)


def _head(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """The new array, the first entries of which are the old ones."""
    new[: old.shape[0]] = old
    return new


def _corner(new: np.ndarray, old: np.ndarray, *, unread: bool) -> np.ndarray:
    """Weights of a wider layer: old units read what they read before.

    Args:
        new: random weights.
        old: weights of the old units.
        unread: whether the layer below has new units, which old units do not read yet.
    """
    rows, columns = old.shape
    if unread:
        new[:, :columns] = 0.0
    new[:rows, :columns] = old
    return new
