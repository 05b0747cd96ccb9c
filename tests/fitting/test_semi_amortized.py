"""Inner steps of each row's own: natural gradients, in closed form, and what they are worth."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    MLP,
    ArgumentError,
    Constant,
    DiagonalNormal,
    FreshDraws,
    Point,
    Polynomial,
    SemiAmortized,
    Table,
    fit,
    from_numpyro,
    infer,
    refine,
)
from amortis.guide import Guide
from amortis.objectives import ClosedFormEntropy
from tests.exact_models import linear


@pytest.fixture(scope="module")
def exact():
    return linear.example(60)


@pytest.fixture(scope="module")
def bound(exact):
    return from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)


def loss_of(bound, choice, inference, key):
    guide = Guide.for_model(bound, inference, Point(), DiagonalNormal())
    loss = choice.loss(bound, guide, ClosedFormEntropy())
    return loss, guide.init(key)


def test_a_step_is_that_of_the_natural_gradient(bound, exact, key):
    """Of a Gaussian row with precision P: m + eta (m* - m) P s^2, log s + eta (1 - P s^2) / 2."""
    eta = 0.3
    loss, parameters = loss_of(bound, SemiAmortized(1, eta), Constant(), key)
    theta = float(parameters["globals"][0])
    raw = np.asarray(loss.shared(parameters)["raw"][-1], np.float64)
    before = np.asarray(loss.guide.fitted_raw(parameters, None), np.float64)
    precision = exact.v / exact.sigma**2
    best = exact.tau * (exact.x - theta) / exact.v
    m, log_sd = before.T
    sd = np.exp(log_sd)
    step = np.clip(precision * (best - m) * sd, -2.0, 2.0) * sd
    np.testing.assert_allclose(raw[:, 0], m + eta * step, rtol=1e-4, atol=1e-4)
    change = 0.5 * (1.0 - precision * sd**2)
    np.testing.assert_allclose(raw[:, 1], log_sd + eta * change, rtol=1e-4, atol=1e-4)


def test_many_steps_end_at_the_optimum_of_each_row(bound, exact, key):
    loss, parameters = loss_of(bound, SemiAmortized(60, 0.5), Constant(), key)
    raw = np.asarray(loss.shared(parameters)["raw"][-1], np.float64)
    best = exact.tau * (exact.x - float(parameters["globals"][0])) / exact.v
    np.testing.assert_allclose(raw[:, 0], best, atol=1e-3)
    np.testing.assert_allclose(np.exp(raw[:, 1]), exact.sigma / np.sqrt(exact.v), rtol=1e-3)


def test_the_gradient_goes_through_the_steps(bound, key):
    """Against differences in 64 bit: the slope in the start of a mean is not that without steps."""
    with jax.enable_x64(True):
        x = np.linspace(-2.0, 2.0, 5)
        model = from_numpyro(linear.model, x, 1.2, 2.4)
        loss, parameters = loss_of(model, SemiAmortized(3, 0.4), Constant(), key)
        noise = loss.fixed_noise(key, 16)

        def value(shift):
            moved = {**parameters, "locals": parameters["locals"] + shift}
            return loss.value(moved, noise, None)

        at = jnp.asarray([0.3, -0.2])
        slope = jax.grad(value)(at)
        for j in range(2):
            step = 1e-5 * jnp.eye(2)[j]
            expected = (value(at + step) - value(at - step)) / 2e-5
            np.testing.assert_allclose(float(slope[j]), float(expected), rtol=1e-6, atol=1e-9)


def test_batches_average_to_the_whole(bound, key):
    loss, parameters = loss_of(bound, SemiAmortized(2), Polynomial(1), key)
    noise = loss.fixed_noise(key, 16)
    whole = float(loss.value(parameters, noise, None))
    parts = [
        float(loss.value(parameters, noise, jnp.arange(start, start + 20))) for start in (0, 20, 40)
    ]
    np.testing.assert_allclose(np.mean(parts), whole, rtol=1e-5)


@pytest.mark.slow
def test_it_learns_a_start_from_which_few_steps_are_enough(bound, exact, key):
    """A constant function cannot be ideal, but with steps after it the ELBO is that of F-VI."""
    choice = SemiAmortized(20, 0.5)
    fitted = fit(bound, key=key, inference=Constant(), globals_=Point(), objective=choice)
    plain = fit(bound, key=key, inference=Constant(), globals_=Point())
    table = fit(bound, key=key, inference=Table(), globals_=Point())
    best = table.elbo(key=key, draws=512).mean
    assert abs(float(fitted.history.objective[-1]) - best) < 0.05
    assert best - plain.elbo(key=key, draws=512).mean > 5.0
    refined = refine(fitted, key=key)
    assert abs(refined.elbo(key=key, draws=512).mean - best) < 0.02
    new = refine(
        infer(fitted, np.asarray([-5.0, 4.0], np.float32), exact.tau, exact.sigma), key=key
    )
    theta = float(fitted.moments()["theta"][0])
    own = exact.tau * (np.asarray([-5.0, 4.0]) - theta) / exact.v
    np.testing.assert_allclose(new.moments()["z"][0], own, atol=2e-3)


def test_fresh_draws_and_batches_train_it_as_well(bound, key):
    fitted = fit(
        bound,
        key=key,
        inference=Polynomial(1),
        globals_=Point(),
        objective=SemiAmortized(2),
        optimiser=FreshDraws(batch=20),
    )
    best = fit(bound, key=key, inference=Table(), globals_=Point())
    short = (
        best.elbo(key=key, draws=512).mean - refine(fitted, key=key).elbo(key=key, draws=512).mean
    )
    assert abs(short) < 0.1


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, r"globals_ is DiagonalNormal\(\); expected point estimates: pass globals_"),
        ({"globals_": Point(), "inference": Table()}, "has a factor for each row"),
        ({"globals_": Point(), "tolerance": 1e-3}, "tolerance and objective are both given"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(bound, key, choices, message):
    given = {"inference": MLP(4), "objective": SemiAmortized(), **choices}
    with pytest.raises(ArgumentError, match=message) as caught:
        fit(bound, key=key, **given)
    assert "\n" not in str(caught.value)


def test_units_that_touch_have_no_steps_of_their_own(key):
    def walk(x):
        z = numpyro.sample("z", dist.GaussianRandomWalk(1.0, num_steps=x.shape[0]))
        numpyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    bound = from_numpyro(walk, np.zeros(6, np.float32))
    with pytest.raises(ArgumentError, match="cannot be evaluated apart"):
        fit(bound, key=key, inference=Polynomial(1), globals_=Point(), objective=SemiAmortized())


@pytest.mark.parametrize("wrong", [{"inner_steps": 0}, {"step_size": 0.0}])
def test_no_steps_are_refused(wrong):
    with pytest.raises(ArgumentError, match="SemiAmortized"):
        SemiAmortized(**wrong)
