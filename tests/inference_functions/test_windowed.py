import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amortis import MLP, ArgumentError, Polynomial, Table, Windowed
from amortis.inference_functions import FunctionShape, take
from amortis.model import Inputs, Membership, Series
from amortis.numerics import Groups


def evaluated(function, inputs, outputs, key):
    parts = function.arrange(inputs)
    shape = FunctionShape(inputs.rows.shape[0], parts.rows.shape[1], outputs, edges=parts.edges)
    parameters = function.init(key, shape)
    parameters = jax.tree.map(
        lambda p: p + jax.random.normal(jax.random.key(1), p.shape), parameters
    )
    return parts, parameters, function(parameters, function.context(parts), None)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 9),
    st.sets(st.integers(-4, 4), min_size=1, max_size=4),
    st.integers(1, 3),
    st.integers(-2, 2),
)
def test_windows_are_those_of_a_loop(units, offsets, stride, longer):
    length = max(units * stride + longer, 1)
    series = np.random.default_rng(0).normal(size=(length, 2)).astype(np.float32)
    inputs = Inputs(jnp.zeros((units, 0)), Series(jnp.asarray(series), stride, ("a", "b")))
    function = Windowed(Polynomial(1), tuple(sorted(offsets)))
    if not any(all(0 <= stride * n + o < length for o in offsets) for n in range(units)):
        with pytest.raises(ArgumentError, match=f"none of the {units} units has rows at all"):
            evaluated(function, inputs, 3, jax.random.key(0))
        return
    parts, parameters, outputs = evaluated(function, inputs, 3, jax.random.key(0))
    edge = 0
    for n in range(units):
        places = [stride * n + o for o in sorted(offsets)]
        if all(0 <= place < length for place in places):
            window = np.concatenate([series[place] for place in places])
            np.testing.assert_allclose(parts.rows[n], window)
            inner = parameters["inner"]
            expected = inner[0] + window @ np.asarray(inner[1:])
            np.testing.assert_allclose(outputs[n], expected, rtol=1e-4, atol=1e-4)
            assert int(parts.edge[n]) == -1
        else:
            np.testing.assert_allclose(outputs[n], parameters["edges"][edge])
            assert int(parts.edge[n]) == edge
            edge += 1
    assert parts.edges == edge == parameters["edges"].shape[0]


def test_a_batch_is_the_same_units_of_the_whole(key):
    rows = jax.random.normal(key, (12, 2))
    function = Windowed(MLP(width=3), (-1, 0, 2))
    parts, parameters, whole = evaluated(function, Inputs(rows), 2, key)
    index = jnp.asarray([0, 5, 11, 5])
    part = function(parameters, take(function.context(parts), index), index)
    np.testing.assert_allclose(part, whole[index], rtol=1e-6)


def test_own_rows_are_the_series_where_there_is_no_other(key):
    rows = jnp.arange(6.0)[:, None]
    parts = Windowed(MLP(), (0, 1)).arrange(Inputs(rows))
    np.testing.assert_array_equal(parts.rows[:-1], np.stack([np.arange(5), np.arange(1, 6)], 1))
    np.testing.assert_array_equal(parts.edge, [-1] * 5 + [0])
    assert float(parts.rows[5, 1]) == 2.5  # what is missing is average


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Windowed(MLP(), ()), r"Windowed offsets are \(\); expected at least one"),
        (lambda: Windowed(MLP(), (0, 1, 0)), r"each once"),
        (lambda: Windowed(MLP(), (0.5,)), r"\(0.5,\); expected whole numbers"),
        (lambda: Windowed(MLP(), "ab"), r"'ab'; expected whole numbers"),
        (lambda: Windowed(Table(), (0,)), r"Windowed got Table\(\) inside"),
    ],
)
def test_bad_windows_are_refused_in_one_line(make, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_one_offset_needs_no_tuple():
    assert Windowed(MLP(), -1).offsets == (-1,)


def test_windows_are_refused_where_units_own_groups(key):
    members = Membership(jnp.zeros((4, 1)), Groups.of(np.asarray([0, 0, 1, 1]), 2), ("a",))
    with pytest.raises(ArgumentError, match=r"own groups of rows; .* use SetNetwork\(\)"):
        Windowed(MLP(), (0,)).arrange(Inputs(jnp.zeros((2, 0)), members=members))
