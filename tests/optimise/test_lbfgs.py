import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from amortis.optimise.lbfgs import lbfgs_init, lbfgs_step


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def minimised(function, start, steps, memory=8):
    evaluate = jax.value_and_grad(function)

    @jax.jit
    def run(point):
        body = lambda _, state: lbfgs_step(state, evaluate)  # noqa: E731
        return jax.lax.fori_loop(0, steps, body, lbfgs_init(point, memory))

    return run(jnp.asarray(start))


def rosenbrock(p):
    return jnp.sum(100.0 * (p[1:] - p[:-1] ** 2) ** 2 + (1.0 - p[:-1]) ** 2)


@pytest.mark.parametrize("start", [[-1.2, 1.0], [-1.2, 1.0, -0.5, 2.0], [0.0] * 10])
def test_it_finds_the_minimum_of_rosenbrocks_function(start):
    expected = optimize.minimize(optimize.rosen, start, method="L-BFGS-B", tol=1e-14)
    found = minimised(rosenbrock, start, 200)
    np.testing.assert_allclose(found.point, expected.x, atol=1e-5)
    assert float(found.value) < 1e-12


@settings(max_examples=15)
@given(st.integers(0, 100))
def test_it_finds_the_minimum_of_any_quadratic(seed):
    generator = np.random.default_rng(seed)
    basis = np.linalg.qr(generator.normal(size=(6, 6)))[0]
    matrix = basis * 10.0 ** generator.uniform(-1, 2, size=6) @ basis.T
    best, start = generator.normal(size=6), 5 * generator.normal(size=6)
    found = _quadratic(jnp.asarray(matrix), jnp.asarray(best), jnp.asarray(start))
    np.testing.assert_allclose(found.point, best, atol=1e-6)
    np.testing.assert_allclose(found.gradient, matrix @ (found.point - best), atol=1e-8)


@jax.jit
def _quadratic(matrix, best, start):
    evaluate = jax.value_and_grad(lambda p: 0.5 * (p - best) @ matrix @ (p - best))
    body = lambda _, state: lbfgs_step(state, evaluate)  # noqa: E731
    return jax.lax.fori_loop(0, 150, body, lbfgs_init(start, 8))


def test_a_memory_of_all_dimensions_beats_steepest_descent():
    scales = 10.0 ** jnp.arange(5.0)
    quadratic = lambda p: 0.5 * jnp.sum(scales * p**2)  # noqa: E731
    found = minimised(quadratic, np.ones(5), 60, memory=8)
    short = minimised(quadratic, np.ones(5), 60, memory=1)
    assert float(found.value) < 1e-10
    assert float(found.value) < 1e-6 * float(short.value)


@pytest.mark.parametrize(
    ("function", "start", "best"),
    [
        # Steps from afar overshoot into the region where the logarithm is NaN.
        (lambda p: jnp.sum(p - jnp.log(p)), [30.0, 0.01], [1.0, 1.0]),
        (lambda p: jnp.sum(jnp.where(p > 1.2, jnp.inf, (p - 1.0) ** 2)), [-9.0, 0.0], [1.0, 1.0]),
        (lambda p: jnp.sum(jnp.where(p > 1.2, jnp.nan, (p - 1.0) ** 4)), [-9.0, 0.0], [1.0, 1.0]),
        # The value is finite where the gradient is not: d sqrt(max(p, 0)) at p < 0.
        (lambda p: jnp.sum(0.5 * p - jnp.sqrt(p)), [40.0, 2.0], [1.0, 1.0]),
    ],
)
def test_regions_that_are_not_finite_are_walked_around(function, start, best):
    found = minimised(function, start, 150)
    np.testing.assert_allclose(found.point, best, atol=2e-3)
    assert np.isfinite(float(found.value))
    assert np.isfinite(np.asarray(found.gradient)).all()


def test_the_value_never_rises_but_for_rounding():
    evaluate = jax.jit(jax.value_and_grad(rosenbrock))
    state = lbfgs_init(jnp.asarray([-1.2, 1.0]), 5)
    step = jax.jit(lambda state: lbfgs_step(state, evaluate))
    values = []
    for _ in range(100):
        state = step(state)
        values.append(float(state.value))
        point_value, gradient = evaluate(state.point)
        np.testing.assert_allclose(values[-1], float(point_value), rtol=1e-12)
        np.testing.assert_allclose(state.gradient, gradient, rtol=1e-10, atol=1e-12)
    assert np.all(np.diff(values) <= 4 * np.finfo(float).eps * np.abs(values[:-1]))


def test_a_bad_start_is_final_and_stalls():
    found = minimised(lambda p: jnp.sum(jnp.log(p)), [-1.0], 20)
    assert bool(found.stalled)
    assert np.isinf(float(found.value))
    assert int(found.accepted) == 0


def test_an_optimum_in_rounding_stalls_and_stays():
    found = minimised(lambda p: 1e8 + jnp.sum(p**2), [1e-9], 120)
    assert abs(float(found.point[0])) <= 1e-9


def test_restarts_under_vmap_run_as_if_alone():
    starts = jnp.asarray([[-1.2, 1.0], [2.0, -1.0], [0.5, 0.5]])
    evaluate = jax.value_and_grad(rosenbrock)

    def run(point):
        body = lambda _, state: lbfgs_step(state, evaluate)  # noqa: E731
        return jax.lax.fori_loop(0, 25, body, lbfgs_init(point, 5)).point

    together = jax.jit(jax.vmap(run))(starts)
    for start, point in zip(starts, together, strict=True):
        np.testing.assert_allclose(point, jax.jit(run)(start), rtol=1e-6)


def test_single_precision_stays_single():
    with jax.enable_x64(False):
        found = minimised(rosenbrock, np.array([-1.2, 1.0], np.float32), 100)
        for leaf in (found.point, found.value, found.gradient, found.length, found.curvatures):
            assert leaf.dtype == jnp.float32
        np.testing.assert_allclose(found.point, [1.0, 1.0], atol=1e-2)
