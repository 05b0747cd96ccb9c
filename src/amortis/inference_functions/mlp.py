"""`MLP`: a multilayer perceptron with a linear skip."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis import numerics
from amortis._require import require_count
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.interface import AbstractRowFunction, FunctionShape


class MLP(AbstractRowFunction):
    r"""A multilayer perceptron plus a linear map of the standardized context.

    $f_\phi(w) = A w + b + W_{L+1} h_L$, $h_l = a(W_l h_{l-1} + b_l)$, $h_0 = w$.

    The linear skip makes linear-Gaussian models close exactly at any width. The smooth activation
    suits second-order optimisers. The first layer's kinks are spread over the standardized context,
    so that one input can be resolved by narrow networks.

    Attributes:
        width: units in each hidden layer, at least one.
        depth: hidden layers, at least one.
        skip: whether the linear map is there (the paper's runs are without).
        activation: elementwise nonlinearity.

    Raises:
        ArgumentError: a width or depth below one.

    References:
        Margossian & Blei, *Amortized Variational Inference: When and Why?* (2024), §5.2.
    """

    width: int = eqx.field(static=True, default=16)
    depth: int = eqx.field(static=True, default=2)
    skip: bool = eqx.field(static=True, default=True)
    activation: Callable[[Array], Array] = eqx.field(static=True, default=jnp.tanh)

    def __check_init__(self) -> None:
        require_count("MLP", "width", self.width)
        require_count("MLP", "depth", self.depth)

    @property
    def owns_rows(self) -> bool:
        return False

    @property
    def closed_under_linear_maps(self) -> bool:
        return False

    @property
    def shortens_rows(self) -> bool:
        return True

    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        sizes = [shape.columns] + [self.width] * self.depth
        shapes = [*itertools.pairwise(sizes), (self.width,), (self.width, shape.outputs)]
        *weights, kinks, last = numerics.normals(key, shapes)
        layers = [
            {"weight": w / math.sqrt(max(w.shape[0], 1)), "bias": numerics.zeros(key, w.shape[1])}
            for w in weights
        ]
        # Standardized inputs mostly lie in [-2, 2]; a gain of two and spread biases bend there.
        layers[0] = {
            "weight": 2.0 * layers[0]["weight"],
            "bias": 4.0 * numerics.uniform_of(kinks) - 2.0,
        }
        last = 0.1 * last
        parameters: dict[str, Any] = {
            "layers": layers,
            "last": last / math.sqrt(self.width),
            "bias": numerics.zeros(key, shape.outputs),
        }
        if self.skip:
            parameters["skip"] = numerics.zeros(key, shape.columns, shape.outputs)
        return numerics.on_device(parameters)

    def step_sizes(self, parameters: Parameters) -> Parameters:
        """One over the root of the number of columns for what multiplies the context.

        A step of Adam then moves the outputs of many columns as much as those of one, where all
        columns pull alike; with steps of 0.01 everywhere networks of images blow up.
        """
        sizes: dict[str, Any] = dict(super().step_sizes(parameters))
        first, *others = sizes["layers"]
        reading = 1.0 / math.sqrt(max(parameters["layers"][0]["weight"].shape[-2], 1))
        sizes["layers"] = [{**first, "weight": reading}, *others]
        return {**sizes, "skip": reading} if self.skip else sizes

    def __call__(
        self,
        parameters: Parameters,
        context: Float[Array, "batch columns"],
        index: RowIndex | None,
    ) -> Float[Array, "batch outputs"]:
        hidden = context
        for layer in parameters["layers"]:
            hidden = self.activation(hidden @ layer["weight"] + layer["bias"])
        outputs = hidden @ parameters["last"] + parameters["bias"]
        return outputs + context @ parameters["skip"] if self.skip else outputs
