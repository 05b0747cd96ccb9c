"""Networks of Equinox and Flax NNX as inference functions, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from amortis import ArgumentError, FreshDraws, Network, Windowed, fit, from_numpyro, infer
from amortis.inference_functions import FunctionShape
from amortis.model import Inputs
from tests.exact_models import linear

KEY = jax.random.key(7)
SHAPE = FunctionShape(rows=5, columns=3, outputs=4)


def perceptron(key, columns, outputs):
    return eqx.nn.MLP(columns, outputs, 6, 1, activation=jnp.tanh, key=key)


def affine(key, columns, outputs):
    return nnx.Linear(columns, outputs, rngs=nnx.Rngs(key))


class Deep(nnx.Module):
    def __init__(self, columns, outputs, rngs):
        self.first = nnx.Linear(columns, 5, rngs=rngs)
        self.norm = nnx.LayerNorm(5, rngs=rngs)
        self.blocks = nnx.List([nnx.Linear(5, outputs, rngs=rngs)])

    def __call__(self, row):
        return self.blocks[0](nnx.tanh(self.norm(self.first(row))))


def deep(key, columns, outputs):
    return Deep(columns, outputs, nnx.Rngs(key))


@pytest.fixture(scope="module")
def exact():
    return linear.example(100)


@pytest.fixture(scope="module")
def bound(exact):
    return from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)


def shortfall(fitted, exact):
    """Nats between a fit and the best factorized one, in closed form."""
    moments = fitted.moments()
    return exact.elbo - exact.elbo_of(moments["theta"], moments["z"])


@pytest.mark.parametrize(
    ("inference", "most"),
    [
        (Network(perceptron), 0.02),  # a perceptron is linear only nearly
        (Network(affine), 1e-3),
        (affine(KEY, 1, 2), 1e-3),  # a built module, as it is
    ],
    ids=["equinox", "nnx", "built"],
)
def test_networks_reach_the_closed_form(bound, exact, inference, most):
    fitted = fit(bound, key=KEY, inference=inference)
    assert fitted.status.name == "CONVERGED"
    assert 0.0 <= shortfall(fitted, exact) + 1e-3 < most + 1e-3


def test_restarts_and_fresh_draws_reach_it_too(bound, exact):
    method = FreshDraws(batch=20)
    fitted = fit(bound, key=KEY, inference=Network(affine), optimiser=method, restarts=2)
    assert shortfall(fitted, exact) < 0.02


def test_new_rows_get_the_posterior_of_the_closed_form(bound, exact):
    fitted = fit(bound, key=KEY, inference=Network(affine))
    new = np.linspace(-9.0, 9.0, 11).astype(np.float32)
    mean, sd = infer(fitted, new, exact.tau, exact.sigma).moments()["z"]
    np.testing.assert_allclose(mean, exact.tau * (new - exact.theta[0]) / exact.v, atol=2e-3)
    np.testing.assert_allclose(sd, exact.sigma / np.sqrt(exact.v), rtol=2e-3)


def test_parameters_have_the_names_that_the_module_has_for_them():
    for build, expected in (
        (perceptron, {"layers.0.bias", "layers.0.weight", "layers.1.bias", "layers.1.weight"}),
        (affine, {"bias", "kernel"}),
        (
            deep,
            {"first.bias", "first.kernel", "norm.bias", "norm.scale"}
            | {"blocks.0.bias", "blocks.0.kernel"},
        ),
    ):
        parameters = Network(build).init(KEY, SHAPE)
        assert set(parameters) == {"network", "scale"}
        assert set(parameters["network"]) == expected


@pytest.mark.parametrize("build", [perceptron, affine, deep])
def test_a_row_at_a_time_and_scaled(build):
    function, context = Network(build), jax.random.normal(KEY, (5, 3))
    parameters = function.init(KEY, SHAPE)
    module = build(KEY, 3, 4)
    expected = 0.1 * np.stack([module(row) for row in context])
    found = function(parameters, context, None)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    # The parameters decide, not what the module was built with.
    moved = jax.tree.map(lambda leaf: leaf + 1.0, parameters)
    assert np.abs(function(moved, context, None) - found).min() > 0.1
    assert function.init(jax.random.key(8), SHAPE)["network"].keys() == parameters["network"].keys()


def test_a_built_module_is_the_start_of_every_fit():
    module = perceptron(KEY, 3, 4)
    first, second = (Network(module).init(jax.random.key(seed), SHAPE) for seed in (0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    np.testing.assert_array_equal(first["network"]["layers.0.weight"], module.layers[0].weight)


def test_a_window_is_a_row_like_any_other():
    function = Windowed(Network(affine), (-1, 0))
    inputs = Inputs(jnp.arange(8.0).reshape(4, 2))
    context = function.context(function.arrange(inputs))
    parameters = function.init(KEY, FunctionShape(rows=4, columns=4, outputs=2, edges=1))
    module = affine(KEY, 4, 2)
    expected = 0.1 * np.asarray(module(jnp.asarray([[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]])))
    found = function(parameters, context, None)
    np.testing.assert_allclose(found[1::2], expected, rtol=1e-6)
    np.testing.assert_array_equal(found[0], 0.0)  # the first unit has no row before its own


def test_constants_of_a_module_stay():
    class Scaled(eqx.Module):
        weight: jax.Array
        order: jax.Array
        again: np.ndarray
        by: float

        def __call__(self, row):
            return self.by * (self.weight @ row)[self.order][self.again]

    weight = jnp.arange(4.0)[:, None] * jnp.ones(3)
    module = Scaled(weight, jnp.asarray([2, 3, 0, 1]), np.asarray([1, 0, 3, 2]), 2.0)
    function = Network(module)
    parameters = function.init(KEY, SHAPE)
    assert set(parameters["network"]) == {"weight"}
    found = jax.jit(lambda p: function(p, jnp.ones((2, 3)), None))(parameters)
    np.testing.assert_allclose(found, 0.1 * 6.0 * np.tile([3.0, 2.0, 1.0, 0.0], (2, 1)), rtol=1e-6)


def test_a_network_of_32_bit_serves_a_model_of_64(x64):
    with jax.enable_x64(False):
        module = affine(KEY, 3, 4)
    function = Network(module)
    parameters = function.init(KEY, SHAPE)
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters)} == {jnp.dtype("float64")}


class Noisy(nnx.Module):
    def __init__(self, rngs):
        self.map, self.drop = nnx.Linear(3, 4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, row):
        return self.drop(self.map(row))


def _normalized(key, columns, outputs):
    layers = [eqx.nn.Linear(columns, outputs, key=key)]
    layers += [eqx.nn.BatchNorm(outputs, axis_name="batch", mode="ema")]
    return eqx.nn.Sequential(layers)


def _dropped(key, columns, outputs):
    return eqx.nn.Sequential([eqx.nn.Linear(columns, outputs, key=key), eqx.nn.Dropout(0.5)])


class Whole(eqx.Module):
    weight: jax.Array

    def __call__(self, row):
        return jnp.arange(4)


REFUSED = {
    "stateful layers in its": _normalized,
    "with its State": lambda *sizes: eqx.nn.make_with_state(_normalized)(*sizes),
    "a Dropout that is not in inference mode": _dropped,
    "variables of kind RngCount, RngKey": lambda key, columns, outputs: Noisy(nnx.Rngs(key)),
    "variables of kind BatchStat": lambda key, columns, outputs: nnx.BatchNorm(
        columns, rngs=nnx.Rngs(key)
    ),
    r"returns shape \(7,\); expected \(4,\): it maps a row of 3 numbers to 4, the raw": (
        lambda key, columns, outputs: affine(key, columns, 7)
    ),
    r"raised .*; expected a module that maps a row of 3 numbers to 4": (
        lambda key, columns, outputs: perceptron(key, 2, outputs)
    ),
    "returns int32; expected one array of floating point numbers": (
        lambda key, columns, outputs: Whole(jnp.ones(2))
    ),
    "returns tuple; expected one array": (
        lambda key, columns, outputs: eqx.nn.Lambda(lambda row: (row, row))
    ),
    "of type function; expected an Equinox module or a Flax": (
        lambda key, columns, outputs: lambda row: row
    ),
    r"could not be built: TypeError: .*; expected a function that takes \(key, columns": (
        lambda columns: None
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_no_function_of_a_row_is_refused_in_one_line(message):
    with pytest.raises(ArgumentError, match=message) as refused:
        Network(REFUSED[message]).init(KEY, SHAPE)
    assert "\n" not in str(refused.value)


def test_a_dropout_in_inference_mode_is_no_noise():
    function = Network(lambda *sizes: eqx.nn.inference_mode(_dropped(*sizes)))
    context = jnp.ones((2, 3))
    parameters = function.init(KEY, SHAPE)
    expected = 0.1 * np.asarray(jax.vmap(eqx.nn.Linear(3, 4, key=KEY))(context))
    np.testing.assert_allclose(function(parameters, context, None), expected, rtol=1e-6)


def test_what_is_no_network_is_refused_in_one_line(bound):
    with pytest.raises(ArgumentError, match="Network got the class Linear; expected a function"):
        Network(eqx.nn.Linear)
    with pytest.raises(ArgumentError, match="Network got 3; expected a function"):
        Network(3)
    with pytest.raises(ArgumentError, match=r"function .*pass amortis\.Network\(it\)"):
        fit(bound, key=KEY, inference=perceptron)
    with pytest.raises(ArgumentError, match=r"it maps a row of 1 numbers to 2, the raw"):
        fit(bound, key=KEY, inference=affine(KEY, 1, 3))
