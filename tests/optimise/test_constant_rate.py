"""Steps of a constant rate, beside NumPy's own Adam and what is known of stochastic gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import amortis
from amortis import ArgumentError, ConstantRate, Status
from amortis.optimise import minimise
from tests.exact_models import linear
from tests.optimise import toys
from tests.optimise.toys import Toy

KEY = jax.random.key(3)


def starts(*points):
    return jnp.asarray(points, jnp.result_type(float))


def adam(gradient, point, rate, steps):
    """Kingma and Ba's Algorithm 1, as printed."""
    first, second = np.zeros_like(point), np.zeros_like(point)
    for t in range(1, steps + 1):
        g = gradient(point)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
        corrected = first / (1 - 0.9**t), second / (1 - 0.999**t)
        point = point - rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    return point


def test_without_noise_it_is_adam_as_printed():
    method = ConstantRate(0.05, iterations=37)
    outcome = minimise(method, Toy(toys.bowl, 2), starts([4.0, -3.0]), key=KEY)
    curvature = np.array([1.0, 10.0])
    expected = adam(lambda p: curvature * (p - 1.0), np.array([4.0, -3.0]), 0.05, 37)
    np.testing.assert_allclose(outcome.parameters, expected, rtol=1e-4)
    assert outcome.status is Status.ITERATIONS_EXHAUSTED
    assert list(outcome.history.iterations) == [10, 20, 30, 37]


def test_an_entry_of_the_history_is_the_mean_loss_before_the_steps_of_its_block():
    method = ConstantRate(0.1, iterations=4, block=2, optimizer=optax.identity())
    outcome = minimise(method, Toy(toys.bowl, 1), starts([3.0]), key=KEY)
    points = 1.0 + 2.0 * 0.9 ** np.arange(4)
    losses = 3.0 + 0.5 * (points - 1.0) ** 2
    expected = -100 * losses.reshape(2, 2).mean(axis=1)
    np.testing.assert_allclose(outcome.history.objective, expected, rtol=1e-5)
    np.testing.assert_allclose(outcome.parameters, 1.0 + 2.0 * 0.9**4, rtol=1e-5)


def test_draws_are_independent_and_average():
    """Plain steps on a linear tilt are a walk with the variance of rate² scale² / draws a step."""
    steps, rate, scale, draws = 2000, 0.01, 3.0, 4
    flat = Toy(lambda p: 0.0 * jnp.sum(p), 200, scale=scale)
    method = ConstantRate(rate, iterations=steps, draws=draws, optimizer=optax.identity())
    outcome = minimise(method, flat, jnp.zeros((1, 200)), key=KEY)
    sd = rate * scale * np.sqrt(steps / draws)
    # The sd of 200 walks is known to 1 / sqrt(400) = 5 %: 4 standard errors, false alarm 6e-5.
    assert abs(np.std(outcome.parameters) / sd - 1.0) < 0.2


def test_a_step_into_nothing_ends_it_with_the_block_before():
    method = ConstantRate(0.3, iterations=100, block=3)
    outcome = minimise(method, Toy(toys.walled, 1), starts([-1.0]), key=KEY)
    assert outcome.status is Status.DIVERGED
    assert outcome.history.iterations[-1] < 100
    assert float(outcome.parameters[0]) <= 1.5


def test_of_two_restarts_the_lower_is_kept():
    method = ConstantRate(0.05, iterations=100)
    outcome = minimise(method, Toy(toys.two_wells, 1), starts([-1.5], [1.5]), key=KEY)
    assert float(outcome.parameters[0]) > 0.5


def test_a_fit_by_minibatches_reaches_the_closed_form(standard_promotion):
    x = np.random.default_rng(1).normal(scale=2.0, size=400)
    bound = amortis.from_numpyro(linear.model, x, 1.0, 1.5)
    best = linear.Linear(x, 1.0, 1.5)
    method = ConstantRate(0.02, iterations=1500, batch=100, draws=2)
    fit = amortis.fit(bound, key=KEY, inference=amortis.Polynomial(1), optimiser=method)
    assert fit.status is Status.ITERATIONS_EXHAUSTED
    short = best.elbo - fit.elbo(key=KEY, draws=256).mean
    assert -0.1 < short < 0.01 * 400


def test_a_rate_that_is_too_large_diverges_and_does_not_blame_the_start(standard_promotion):
    x = np.random.default_rng(1).normal(scale=2.0, size=50)
    bound = amortis.from_numpyro(linear.model, x, 1.0, 1.5)
    method = ConstantRate(1e3, iterations=20)
    fit = amortis.fit(bound, key=KEY, inference=amortis.Polynomial(1), optimiser=method)
    assert fit.status is Status.DIVERGED
    assert np.isfinite(fit.history.objective[0])


@pytest.mark.parametrize(
    ("choices", "named"),
    [
        ({"rate": 0.0, "iterations": 1}, "rate"),
        ({"rate": 0.1, "iterations": 0}, "iterations"),
        ({"rate": 0.1, "iterations": 1, "draws": 0}, "draws"),
        ({"rate": 0.1, "iterations": 1, "batch": 0}, "batch"),
        ({"rate": 0.1, "iterations": 1, "block": 0}, "block"),
    ],
)
def test_numbers_that_are_none_are_refused(choices, named):
    with pytest.raises(ArgumentError, match=named):
        ConstantRate(**choices)
