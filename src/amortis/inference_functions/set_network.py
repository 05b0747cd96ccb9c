"""`SetNetwork`: a function of the set of rows in a unit's group."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.context import Parts, SetContext
from amortis.inference_functions.interface import AbstractInferenceFunction, FunctionShape
from amortis.model import Inputs
from amortis.numerics import Members, group_sums

_FIRST_LOG_PRECISION = -3.0
"""Of a row's potential: small beside the group's own, which starts at one, for groups of tens."""

_JITTER = 1e-6
"""Added to precision matrices, which start at one, so that they are never singular in 32 bit."""

_MOST_CORRELATED = 8
"""Latent numbers of a group up to which their potentials have full precision matrices."""


class SetNetwork(AbstractInferenceFunction):
    r"""Every row of a group contributes a Gaussian potential; a network corrects the rest.

    $\Lambda_n = \Lambda_0(w_n) + \sum_{i \in g_n} L(x_i) L(x_i)^\top$, $\eta_n = \Lambda_0(w_n)
    m_0(w_n) + \sum_{i \in g_n} L(x_i) a(x_i)$, means $d(w_n) + \Lambda_n^{-1} \eta_n$ and sds
    $(\Lambda_n)_{kk}^{-1/2}$, the factorized optimum of that Gaussian, plus a perceptron of the
    pooled group. With linear L, a and $m_0$ the first part is optimal for every conjugate Gaussian
    group, random slopes included, whatever its size, none included; the order of rows cannot
    matter. A single latent number has $L = e^{c(x_i)/2}$, and more than eight have a diagonal one.

    For a factor that moves with the globals (`Conditional`), the weights of L, a, $m_0$ and
    $\Lambda_0$ are affine in the standardized globals t, and what is given are the outputs at
    t = 0 and their derivatives there: of conjugate Gaussian groups the exact conditional's.

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
        if shape.at_mean % 2:
            raise ArgumentError(
                f"SetNetwork gives a mean and a log sd per latent number, but the local family "
                f"asks for {shape.at_mean} numbers: use DiagonalNormal() for locals_"
            )
        numbers = shape.at_mean // 2
        parameters: dict[str, Any] = {"group": _linear(key, shape.columns, 2 * numbers)}
        if _is_correlated(numbers):
            eye = np.eye(numbers, dtype=jnp.result_type(float))
            first = math.exp(0.5 * _FIRST_LOG_PRECISION) * eye
            bias = np.concatenate([np.zeros(numbers, eye.dtype), first.ravel()])
            parameters["group"]["directions"] = eye
        else:
            bias = np.repeat([0.0, _FIRST_LOG_PRECISION], numbers).astype(jnp.result_type(float))
        of_row = bias.shape[0]
        parameters["row"] = _linear(key, shape.members, of_row) | {"bias": bias}
        # What is added to every datum of a group, as by a covariate of the group, moves the mean
        # however many data there are: no potential can say that.
        if shape.columns:
            parameters["shift"] = {"weight": numerics.zeros(key, shape.columns, numbers)}
        if shape.given:
            tilts = (("row", shape.members, of_row), ("group", shape.columns, 2 * numbers))
            if shape.columns:
                parameters["shift"]["tilt"] = numerics.zeros(
                    key, shape.given, shape.columns, numbers
                )
            for name, inputs, outputs in tilts:
                parameters[name]["tilt"] = numerics.zeros(key, shape.given, inputs + 1, outputs)
        if self.width == 0:
            return numerics.on_device(parameters)
        pooled = 2 * numbers + self.width + shape.columns
        shapes = [(inputs + 1, self.width) for inputs in (shape.members, pooled)]
        features, pooling, last = numerics.normals(key, [*shapes, (self.width, shape.at_mean)])
        more = {
            "features": _hidden(features),
            "from_features": numerics.zeros(key, self.width, of_row),
            "pooled": _hidden(pooling),
            "last": 0.01 * last,
        }
        return numerics.on_device(parameters | more)

    def __call__(
        self, parameters: Parameters, context: SetContext, index: RowIndex | None
    ) -> Float[Array, "batch outputs"]:
        tilt = parameters["row"].get("tilt")
        if tilt is None:
            return self._at_mean(parameters, context)
        still = jnp.zeros(tilt.shape[0], tilt.dtype)

        def at(t: Float[Array, " given"]) -> Float[Array, "batch at_mean"]:
            return self._at_mean({**parameters, **_tilted(parameters, t)}, context)

        slopes = jnp.moveaxis(jax.jacfwd(at)(still), 2, 1)
        every = jnp.concatenate([at(still)[:, None], slopes], axis=1)
        return every.reshape(every.shape[0], -1)

    def _at_mean(
        self, parameters: Parameters, context: SetContext
    ) -> Float[Array, "batch at_mean"]:
        units = context.rows.shape[0]
        of_row = _apply(parameters["row"], context.members)
        features = None
        if self.width > 0:
            features = jnp.tanh(_apply(parameters["features"], context.members))
            of_row = of_row + features @ parameters["from_features"]
        of_group = _apply(parameters["group"], context.rows)
        if _is_correlated(of_group.shape[1] // 2):
            directions = parameters["group"]["directions"]
            outputs = _correlated(of_row, of_group, directions, context.entries, units)
        else:
            outputs = _independent(of_row, of_group, context.entries, units)
        if "shift" in parameters:
            shift = context.rows @ parameters["shift"]["weight"]
            outputs = outputs.at[:, : shift.shape[1]].add(shift)
        if features is None:
            return outputs
        ones = jnp.ones((features.shape[0], 1), features.dtype)
        pooled = group_sums(jnp.concatenate([features, ones], axis=1), context.entries, units)
        average = pooled[:, :-1] / jnp.maximum(pooled[:, -1:], 1.0)
        hidden = jnp.tanh(
            _apply(parameters["pooled"], jnp.concatenate([outputs, average, context.rows], axis=1))
        )
        return outputs + hidden @ parameters["last"]


def _tilted(parameters: Parameters, t: Float[Array, " given"]) -> dict[str, Any]:
    """The potentials' layers at some globals."""
    found: dict[str, Any] = {}
    for name in ("row", "group"):
        layer = parameters[name]
        moved = jnp.einsum("k,kio->io", t, layer["tilt"])
        weight, bias = layer["weight"] + moved[:-1], layer["bias"] + moved[-1]
        found[name] = {**layer, "weight": weight, "bias": bias}
    if "shift" in parameters:
        shift = parameters["shift"]
        moved = jnp.einsum("k,kio->io", t, shift["tilt"])
        found["shift"] = {**shift, "weight": shift["weight"] + moved}
    return found


def _is_correlated(numbers: int) -> bool:
    return 1 < numbers <= _MOST_CORRELATED


def _independent(
    of_row: Float[Array, "members two_d"],
    of_group: Float[Array, "groups two_d"],
    entries: Members,
    units: int,
) -> Float[Array, "groups two_d"]:
    """Means and log sds where each latent number has a potential of its own."""
    mean, log_precision = jnp.split(of_row, 2, axis=1)
    precision = jnp.exp(log_precision)
    sums = group_sums(jnp.concatenate([precision * mean, precision], axis=1), entries, units)
    linear, total = jnp.split(sums, 2, axis=1)
    prior_mean, prior_log = jnp.split(of_group, 2, axis=1)
    total = total + jnp.exp(prior_log)
    mean = (linear + jnp.exp(prior_log) * prior_mean) / total
    return jnp.concatenate([mean, -0.5 * jnp.log(total)], axis=1)


def _correlated(
    of_row: Float[Array, "members numbers"],
    of_group: Float[Array, "groups two_d"],
    directions: Float[Array, "d d"],
    entries: Members,
    units: int,
) -> Float[Array, "groups two_d"]:
    """Means and log sds where a group's latent numbers have one potential together."""
    d = directions.shape[0]
    target, root = of_row[:, :d], of_row[:, d:].reshape(-1, d, d)
    precision = jnp.einsum("ijk,ilk->ijl", root, root)
    linear = jnp.einsum("ijk,ik->ij", root, target)
    each = jnp.concatenate([linear, precision.reshape(-1, d * d)], axis=1)
    sums = group_sums(each, entries, units)
    prior_mean, prior_log = jnp.split(of_group, 2, axis=1)
    prior = jnp.einsum("jk,nk,lk->njl", directions, jnp.exp(prior_log), directions)
    total = sums[:, d:].reshape(-1, d, d) + prior + _JITTER * jnp.eye(d)
    right = sums[:, :d] + jnp.einsum("njk,nk->nj", prior, prior_mean)
    mean = jnp.linalg.solve(total, right[:, :, None])[:, :, 0]
    diagonal = jnp.diagonal(total, axis1=1, axis2=2)
    return jnp.concatenate([mean, -0.5 * jnp.log(diagonal)], axis=1)


def _linear(key: RandomKey, inputs: int, outputs: int) -> dict[str, Any]:
    return {"weight": numerics.zeros(key, inputs, outputs), "bias": numerics.zeros(key, outputs)}


def _hidden(normal: Any) -> dict[str, Any]:
    """A layer of standard normal numbers: weights of unit gain, biases uniform in (-1, 1)."""
    return {
        "weight": normal[:-1] / math.sqrt(max(normal.shape[0] - 1, 1)),
        "bias": 2.0 * numerics.uniform_of(normal[-1]) - 1.0,
    }


def _apply(layer: Parameters, values: Float[Array, "n m"]) -> Float[Array, "n k"]:
    return values @ layer["weight"] + layer["bias"]
