import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import hermite_e

from amortis import MLP, ArgumentError, Constant, Polynomial, Table
from amortis.inference_functions import FunctionShape

FUNCTIONS = {
    "constant": Constant(),
    "table": Table(),
    "linear": Polynomial(1),
    "cubic": Polynomial(3),
    "mlp": MLP(),
    "deep": MLP(width=3, depth=4, skip=False),
}


def _count(name, rows, columns, outputs):
    width, depth = (16, 2) if name == "mlp" else (3, 4)
    hidden = columns * width + width + (depth - 1) * (width * width + width)
    return {
        "constant": outputs,
        "table": rows * outputs,
        "linear": (1 + columns) * outputs,
        "cubic": math.comb(columns + 3, 3) * outputs,
        "mlp": hidden + (width + 1) * outputs + columns * outputs,
        "deep": hidden + (width + 1) * outputs,
    }[name]


@pytest.mark.parametrize("name", FUNCTIONS)
@given(rows=st.integers(1, 5), columns=st.integers(1, 3), outputs=st.integers(1, 4))
def test_shapes_and_numbers_of_parameters(name, rows, columns, outputs):
    function = FUNCTIONS[name]
    start = lambda key: function.init(key, FunctionShape(rows, columns, outputs))  # noqa: E731
    parameters = jax.eval_shape(start, jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    assert count == _count(name, rows, columns, outputs)
    whole = jax.eval_shape(lambda p: function(p, jnp.zeros((rows, columns)), None), parameters)
    assert whole.shape == (rows, outputs)
    index = jnp.asarray([0, 0])
    part = jax.eval_shape(lambda p: function(p, jnp.zeros((2, columns)), index), parameters)
    assert part.shape == (2, outputs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_batch_is_the_same_rows_of_the_whole(name, key, x64):
    function = FUNCTIONS[name]
    parameters = function.init(key, FunctionShape(6, 2, 3))
    parameters = jax.tree.map(lambda p: p + jax.random.normal(key, p.shape), parameters)
    context = jax.random.normal(key, (6, 2))
    whole = function(parameters, context, None)
    index = jnp.asarray([4, 1, 1])
    np.testing.assert_allclose(
        function(parameters, context[index], index), whole[index], rtol=1e-12
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_outputs_start_near_zero(name, key):
    function = FUNCTIONS[name]
    parameters = function.init(key, FunctionShape(40, 2, 3))
    outputs = function(parameters, jax.random.normal(key, (40, 2)), None)
    assert float(jnp.abs(outputs).max()) < 0.6


def test_only_a_table_owns_its_rows():
    assert [name for name, f in FUNCTIONS.items() if f.owns_rows] == ["table"]


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_a_polynomial_is_a_sum_over_normalized_hermite_products(degree, x64):
    columns, outputs = 2, 2
    generator = np.random.default_rng(degree)
    function = Polynomial(degree)
    shape = function.init(jax.random.key(0), FunctionShape(5, columns, outputs)).shape
    phi = generator.normal(size=shape)
    context = generator.normal(size=(5, columns))
    expected = np.zeros((5, outputs))
    monomials = [
        chosen
        for total in range(degree + 1)
        for chosen in itertools.combinations_with_replacement(range(columns), total)
    ]
    assert len(monomials) == shape[0]
    for n in range(5):
        for coefficients, chosen in zip(phi, monomials, strict=True):
            value = 1.0
            for j in range(columns):
                power = chosen.count(j)
                unit = np.eye(power + 1)[power]
                value *= hermite_e.hermeval(context[n, j], unit) / math.sqrt(math.factorial(power))
            expected[n] += value * coefficients
    got = function(jnp.asarray(phi), jnp.asarray(context), None)
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("skip", [True, False])
def test_an_mlp_is_a_loop_over_its_layers(skip, key, x64):
    function = MLP(width=4, depth=3, skip=skip)
    parameters = function.init(key, FunctionShape(5, 2, 3))
    parameters = jax.tree.map(lambda p: p + 0.3, parameters)
    context = np.random.default_rng(0).normal(size=(5, 2))
    for n, got in enumerate(function(parameters, jnp.asarray(context), None)):
        hidden = context[n]
        for layer in parameters["layers"]:
            hidden = np.tanh(hidden @ np.asarray(layer["weight"]) + np.asarray(layer["bias"]))
        expected = hidden @ np.asarray(parameters["last"]) + np.asarray(parameters["bias"])
        expected = expected + (context[n] @ np.asarray(parameters["skip"]) if skip else 0.0)
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_the_same_key_gives_the_same_mlp():
    shape = FunctionShape(5, 2, 3)
    one, same, other = (MLP().init(jax.random.key(seed), shape) for seed in (0, 0, 1))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), one, same))
    assert not jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), one, other))


def test_polynomials_alone_may_be_given_mixtures_of_their_inputs(key, x64):
    assert [n for n, f in FUNCTIONS.items() if f.closed_under_linear_maps] == ["linear", "cubic"]
    # Closed: a polynomial of mixed inputs is a polynomial of the inputs, of the same degree.
    generator = np.random.default_rng(0)
    context, mixing = generator.normal(size=(30, 2)), generator.normal(size=(2, 2))
    shape = FunctionShape(30, 2, 1)
    basis = np.eye(Polynomial(3).init(key, shape).shape[0])
    features, mixed = (
        np.asarray(Polynomial(3)(jnp.asarray(basis), jnp.asarray(c), None))
        for c in (context, context @ mixing)
    )
    found, *_ = np.linalg.lstsq(features, mixed)
    np.testing.assert_allclose(features @ found, mixed, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Polynomial(0), r"Polynomial degree is 0; expected at least 1: use Constant\(\)"),
        (lambda: Polynomial(-2), "Polynomial degree is -2"),
        (lambda: MLP(width=0), "MLP width is 0; expected at least 1"),
        (lambda: MLP(depth=0), "MLP depth is 0; expected at least 1"),
        (
            lambda: Polynomial(3).init(jax.random.key(0), FunctionShape(10, 60, 2)),
            r"Polynomial\(degree=3\) of 60 columns has 39711 terms; expected at most 20000",
        ),
    ],
)
def test_choices_out_of_range_are_refused_in_one_line(make, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_table_may_start_with_rows_apart(key):
    shape = FunctionShape(4000, 2, 3)
    start = np.asarray(Table(start_sd=2.0).init(key, shape))
    # The sd of 12 000 numbers is known to 0.65 %: 4.6 standard errors, false alarm 4e-6.
    assert abs(start.std() / 2.0 - 1.0) < 0.03
    assert not np.asarray(Table().init(key, shape)).any()
    with pytest.raises(ArgumentError, match="start_sd is -1"):
        Table(start_sd=-1.0)
