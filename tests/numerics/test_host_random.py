"""Keys and numbers made on the host are as good as those of `jax.random`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from amortis import numerics


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_forked_keys_are_of_the_same_kind_and_all_different(kind):
    key = jax.random.key(3, impl=kind)
    keys = [numerics.forked(key, i) for i in range(200)]
    keys += [numerics.forked(key, 1, i) for i in range(1, 200)]
    data = {tuple(np.asarray(jax.random.key_data(k)).tolist()) for k in keys}
    assert len(data) == len(keys)
    assert all(jax.random.key_impl(k) == jax.random.key_impl(key) for k in keys)
    again = numerics.forked(key, 7)
    np.testing.assert_array_equal(jax.random.key_data(again), jax.random.key_data(keys[7]))


def test_normals_are_independent_and_standard(key):
    first, second = numerics.normals(key, [(50, 400), (20_000,)])
    assert first.shape == (50, 400) and first.dtype == jnp.result_type(float)
    for values in (first.ravel(), second):
        assert stats.kstest(values, "norm").pvalue > 1e-4
    # The correlation of 20 000 pairs has an sd of 0.0071: 4.2 of them, false alarm 2e-5.
    assert abs(np.corrcoef(first.ravel(), second)[0, 1]) < 0.03
    again = numerics.normals(key, [(50, 400), (20_000,)])[0]
    np.testing.assert_array_equal(first, again)


def test_traced_keys_are_left_to_jax(key):
    def shapes(key):
        a, b = numerics.normals(numerics.forked(key, 2, 5), [(3, 2), (4,)])
        return a, numerics.uniform_of(b)

    a, b = jax.eval_shape(shapes, key)
    assert (a.shape, b.shape) == ((3, 2), (4,))
    np.testing.assert_allclose(numerics.uniform_of(np.zeros(2)), 0.5)


def test_few_numbers_are_compiled_quickly_and_come_out_the_same():
    assert numerics.run_rarely(10**9) is None
    x = jnp.linspace(-2.0, 2.0, 100)
    quick = jax.jit(lambda x: jnp.exp(jnp.sin(x)), compiler_options=numerics.run_rarely(100))
    np.testing.assert_allclose(quick(x), np.exp(np.sin(np.asarray(x))), rtol=1e-6)
