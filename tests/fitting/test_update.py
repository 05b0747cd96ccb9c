"""Online learning: q of the globals takes the prior's place, and the function goes on."""

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
    DataError,
    Point,
    Polynomial,
    Table,
    Windowed,
    diagnose,
    fit,
    from_density,
    from_numpyro,
    infer,
    update,
)
from tests.exact_models import linear

KEY = jax.random.key(3)
FIRST = 60


@pytest.fixture(scope="module")
def exact():
    return linear.example(200, prior_sd=2.0)


def bind(exact, start, stop):
    x = exact.x[start:stop].astype(np.float32)
    return from_numpyro(linear.model, x, exact.tau, exact.sigma, exact.prior_sd)


@pytest.fixture(scope="module")
def first(exact):
    return fit(bind(exact, 0, FIRST), key=KEY, inference=Polynomial(1))


@pytest.fixture(scope="module")
def updated(exact, first):
    return update(first, bind(exact, FIRST, 140), key=KEY)


def sequential(exact, stops):
    """Mean and sd of q(theta) where each block's prior is the q before it, in closed form.

    With prior N(m, s²) the posterior mean weighs a block's rows by 1/v, with the locals summed
    out; the variance of a factorized q is one over the precision with the locals held.
    """
    mean, variance, start = 0.0, exact.prior_sd**2, 0
    for stop in stops:
        x = exact.x[start:stop]
        precision = len(x) / exact.v + 1.0 / variance
        mean = (x.sum() / exact.v + mean / variance) / precision
        variance = 1.0 / (len(x) / exact.sigma**2 + 1.0 / variance)
        start = stop
    return mean, variance**0.5


def test_globals_are_those_of_the_sequential_closed_form(exact, first, updated):
    for fitted, stops in ((first, [FIRST]), (updated, [FIRST, 140])):
        mean, sd = fitted.moments()["theta"]
        expected = sequential(exact, stops)
        assert abs(float(mean) - expected[0]) < 0.01 * expected[1]
        np.testing.assert_allclose(sd, expected[1], rtol=0.005)


def test_updates_compose(exact, updated):
    again = update(updated, bind(exact, 140, 200), key=KEY)
    mean, sd = again.moments()["theta"]
    expected = sequential(exact, [FIRST, 140, 200])
    assert abs(float(mean) - expected[0]) < 0.01 * expected[1]
    np.testing.assert_allclose(sd, expected[1], rtol=0.005)
    # A refit to all has the same sd; its mean is the posterior's, which old rows do not outweigh.
    assert exact.theta[1] ** 0.5 == pytest.approx(expected[1], rel=1e-12)
    assert 0.0 < abs(expected[0] - exact.theta[0]) < 0.5 * expected[1]


def test_the_elbo_is_that_of_the_new_rows_under_the_old_q(exact, first, updated):
    mean, sd = first.moments()["theta"]
    x = exact.x[FIRST:140] - float(mean)
    shifted = linear.Linear(x, exact.tau, exact.sigma, float(sd))
    found = updated.elbo(key=KEY, draws=4000)
    assert abs(found.mean - shifted.elbo) < 5 * found.se + 0.01


def test_locals_follow_the_function(exact, updated):
    theta = float(updated.moments()["theta"][0])
    mean, sd = updated.moments()["z"]
    x = exact.x[FIRST:140]
    np.testing.assert_allclose(mean, exact.tau * (x - theta) / exact.v, atol=2e-3)
    np.testing.assert_allclose(sd, exact.sigma / exact.v**0.5, rtol=1e-3)


def test_an_updated_fit_is_a_fit_like_any_other(exact, updated):
    found = diagnose(updated, key=KEY)
    assert found.gap_per_datum.mean < 1e-4 and found.global_k < 0.7
    assert abs(found.evidence.mean - found.elbo.mean) < 0.5
    new = np.asarray([1.0, -4.0], np.float32)
    served = infer(updated, new, exact.tau, exact.sigma, exact.prior_sd)
    theta = float(updated.moments()["theta"][0])
    expected = exact.tau * (new - theta) / exact.v
    np.testing.assert_allclose(served.moments()["z"][0], expected, atol=2e-3)
    # The old q is still the prior of what is bound again.
    at = {"theta": jnp.asarray(0.3)}
    np.testing.assert_allclose(served.model.log_prior(at), updated.model.log_prior(at), rtol=1e-5)


def test_a_prior_on_a_support_is_replaced_on_the_unconstrained_scale(key):
    def model(x):
        sigma = numpyro.sample("sigma", dist.HalfNormal(3.0))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z, sigma), obs=x)

    x = 2.0 * np.random.default_rng(0).normal(size=120).astype(np.float32)
    first = fit(from_numpyro(model, x[:60]), key=key, inference=Polynomial(1))
    both = update(first, from_numpyro(model, x[60:]), key=key)
    mean, sd = (float(v[0]) for v in first.global_moments())
    for u in (mean - sd, mean, mean + 2.0 * sd):
        expected = -0.5 * ((u - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)
        found = both.model.log_prior({"sigma": jnp.asarray(u, jnp.float32)})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_densities_by_hand_and_tables_are_updated_too(exact):
    x = exact.x.astype(np.float32)
    tau, sigma, prior_sd = exact.tau, exact.sigma, exact.prior_sd

    def bind_by_hand(rows):
        return from_density(
            lambda theta: -0.5 * (theta["theta"] / prior_sd) ** 2,
            lambda theta, z, x: (
                -0.5 * z["z"] ** 2 - 0.5 * ((x - theta["theta"] - tau * z["z"]) / sigma) ** 2
            ),
            rows,
            globals_={"theta": ()},
            locals_={"z": ()},
        )

    first = fit(bind_by_hand(x[:FIRST]), key=KEY, inference=Table())
    both = update(first, bind_by_hand(x[FIRST:140]), key=KEY)
    mean, sd = both.moments()["theta"]
    expected = sequential(exact, [FIRST, 140])
    assert abs(float(mean) - expected[0]) < 0.02 * expected[1]
    np.testing.assert_allclose(sd, expected[1], rtol=0.02)


def test_what_cannot_be_updated_is_refused_in_one_line(exact, first):
    new = bind(exact, FIRST, 80)
    point = fit(bind(exact, 0, FIRST), key=KEY, inference=Constant(), globals_=Point())
    held = infer(first, exact.x[:5].astype(np.float32), exact.tau, exact.sigma, exact.prior_sd)
    x = exact.x[:50].astype(np.float32)
    other_prior = from_numpyro(linear.model, x, exact.tau, exact.sigma, 5.0)

    def wide(x):
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.sum(theta), 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    for arguments, error, words in (
        ((point, new), ArgumentError, r"Point\(\) globals, which have no density"),
        ((held, new), ArgumentError, "came from infer"),
        ((first, other_prior), ArgumentError, "the terms that no row owns are"),
        ((first, from_numpyro(wide, x)), DataError, r"it was fitted with theta \(\)"),
    ):
        with pytest.raises(error, match=words) as caught:
            update(*arguments, key=KEY)
        assert "\n" not in str(caught.value)


def test_units_that_touch_are_refused(key):
    def walk(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.factor("steps", dist.Normal(z[:-1], 1.0).log_prob(z[1:]).sum())
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    x = np.random.default_rng(0).normal(size=12).astype(np.float32)
    bound = from_numpyro(walk, x)
    walked = fit(bound, key=key, inference=Windowed(MLP(width=2), (-1, 0, 1)))
    with pytest.raises(ArgumentError, match="do not part given the globals"):
        update(walked, bound, key=key)
