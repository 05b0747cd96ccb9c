"""`SetNetwork`: a function of the set of rows in a unit's group."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.context import Parts, SetContext
from amortis.inference_functions.interface import AbstractInferenceFunction, FunctionShape
from amortis.model import Inputs
from amortis.numerics import group_sums

_FIRST_LOG_PRECISION = -3.0
"""Of a row's potential: small beside the group's own, which starts at one, for groups of tens."""


class SetNetwork(AbstractInferenceFunction):
    r"""Every row of a group contributes a Gaussian potential; a network corrects the rest.

    $\Lambda_n = e^{l_0(w_n)} + \sum_{i \in g_n} e^{c(x_i)}$, $\eta_n = h_0(w_n) + \sum_{i \in g_n}
    e^{c(x_i)} a(x_i)$, mean $\eta_n / \Lambda_n$ and sd $\Lambda_n^{-1/2}$ for each latent number,
    plus a perceptron of the pooled group. The first part is the posterior of any conjugate Gaussian
    group if a is linear, whatever the group's size, none included; the order of rows cannot matter.

    Attributes:
        width: hidden units of the features of a row and of the pooled perceptron; none for
            potentials alone, with linear a and c.

    Raises:
        ArgumentError: a negative width.

    References:
        Zaheer et al., *Deep Sets* (2017); Margossian & Blei (2024), §3.2, for groups.
    """

    width: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        if self.width < 0:
            raise ArgumentError(
                f"SetNetwork width is {self.width}; expected at least 0: 0 gives potentials alone"
            )

    @property
    def owns_rows(self) -> bool:
        return False

    @property
    def closed_under_linear_maps(self) -> bool:
        return False

    def arrange(self, inputs: Inputs) -> Parts:
        if inputs.members is None:
            raise ArgumentError(
                "inference is SetNetwork() but the units of this model own no groups of rows; "
                "expected a model that `amortis.check` calls GROUPED: use MLP()"
            )
        return Parts(inputs.rows, members=inputs.members.values, groups=inputs.members.groups)

    def context(self, parts: Parts) -> SetContext:
        assert parts.members is not None and parts.groups is not None  # `arrange` has made them
        return SetContext(parts.rows, parts.members, parts.groups.all(), parts.groups)

    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        if shape.outputs % 2:
            raise ArgumentError(
                f"SetNetwork gives a mean and a log sd per latent number, but the local family "
                f"asks for {shape.outputs} numbers: use DiagonalNormal() for locals_"
            )
        numbers = shape.outputs // 2
        parameters = {
            "group": _linear(shape.columns, 2 * numbers),
            "row": _linear(shape.members, 2 * numbers),
        }
        parameters["row"]["bias"] = jnp.zeros(2 * numbers).at[numbers:].set(_FIRST_LOG_PRECISION)
        if self.width == 0:
            return parameters
        feature_key, pooled_key, last_key = jax.random.split(key, 3)
        pooled = 2 * numbers + self.width + shape.columns
        return parameters | {
            "features": _hidden(feature_key, shape.members, self.width),
            "from_features": jnp.zeros((self.width, 2 * numbers)),
            "pooled": _hidden(pooled_key, pooled, self.width),
            "last": 0.01 * jax.random.normal(last_key, (self.width, shape.outputs)),
        }

    def __call__(
        self, parameters: Parameters, context: SetContext, index: RowIndex | None
    ) -> Float[Array, "batch outputs"]:
        units = context.rows.shape[0]
        of_row = _apply(parameters["row"], context.members)
        features = None
        if self.width > 0:
            features = jnp.tanh(_apply(parameters["features"], context.members))
            of_row = of_row + features @ parameters["from_features"]
        mean, log_precision = jnp.split(of_row, 2, axis=1)
        precision = jnp.exp(log_precision)
        sums = group_sums(
            jnp.concatenate([precision * mean, precision], axis=1), context.entries, units
        )
        linear, total = jnp.split(sums, 2, axis=1)
        prior_mean, prior_log = jnp.split(_apply(parameters["group"], context.rows), 2, axis=1)
        total = total + jnp.exp(prior_log)
        mean = (linear + jnp.exp(prior_log) * prior_mean) / total
        outputs = jnp.concatenate([mean, -0.5 * jnp.log(total)], axis=1)
        if features is None:
            return outputs
        ones = jnp.ones((features.shape[0], 1), features.dtype)
        pooled = group_sums(jnp.concatenate([features, ones], axis=1), context.entries, units)
        average = pooled[:, :-1] / jnp.maximum(pooled[:, -1:], 1.0)
        hidden = jnp.tanh(
            _apply(parameters["pooled"], jnp.concatenate([outputs, average, context.rows], axis=1))
        )
        return outputs + hidden @ parameters["last"]


def _linear(inputs: int, outputs: int) -> dict[str, Array]:
    return {"weight": jnp.zeros((inputs, outputs)), "bias": jnp.zeros(outputs)}


def _hidden(key: RandomKey, inputs: int, outputs: int) -> dict[str, Array]:
    weight_key, bias_key = jax.random.split(key)
    weight = jax.random.normal(weight_key, (inputs, outputs)) / math.sqrt(max(inputs, 1))
    return {"weight": weight, "bias": jax.random.uniform(bias_key, (outputs,), minval=-1.0)}


def _apply(layer: Parameters, values: Float[Array, "n m"]) -> Float[Array, "n k"]:
    return values @ layer["weight"] + layer["bias"]
