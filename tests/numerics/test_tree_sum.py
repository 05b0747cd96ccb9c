import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amortis.numerics import tree_sum


@settings(max_examples=12)  # every length compiles
@given(st.integers(0, 3000), st.integers(0, 100))
def test_it_is_the_sum_in_double_precision(length, seed):
    values = np.random.default_rng(seed).normal(size=length)
    with jax.enable_x64(True):
        total = float(tree_sum(jnp.asarray(values)))
    assert abs(total - math.fsum(values)) <= 1e-12 * (1 + np.abs(values).sum())


@pytest.mark.parametrize("length", [1023, 1024, 1025, 1024**2, 1024**2 + 1])
def test_single_precision_keeps_its_digits_at_any_length(length):
    values = np.random.default_rng(0).normal(-1.7, 1.0, size=length).astype(np.float32)
    total = tree_sum(jnp.asarray(values))
    assert total.dtype == jnp.float32
    exact = math.fsum(values.astype(float))
    assert abs(float(total) - exact) <= 4 * np.finfo(np.float32).eps * np.abs(values).sum()


def test_a_running_sum_would_fail_where_it_does_not():
    values = np.full(3_000_000, np.float32(0.1))
    exact = math.fsum(values.astype(float))
    assert abs(float(np.cumsum(values, dtype=np.float32)[-1]) - exact) > 100
    assert abs(float(tree_sum(jnp.asarray(values))) - exact) < 0.1


def test_gradients_are_ones():
    gradient = jax.grad(tree_sum)(jnp.linspace(0.0, 1.0, 2500))
    np.testing.assert_array_equal(np.asarray(gradient), np.ones(2500, np.float32))
