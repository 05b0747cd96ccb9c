"""Held-out data, a reference, blame, and what the latents learn."""

import dataclasses

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
    diagnose,
    fit,
    from_numpyro,
    infer,
    refine,
)
from tests.exact_models import linear

KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def exact():
    return linear.example(200)


@pytest.fixture(scope="module")
def bound(exact):
    return from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)


@pytest.fixture(scope="module")
def rough(bound):
    return fit(bound, key=KEY, inference=Constant())


def test_the_held_out_gap_and_bound_are_those_of_the_closed_form(rough, exact):
    new = np.linspace(-9.0, 9.0, 37).astype(np.float32)
    found = diagnose(rough, key=KEY, held_out=infer(rough, new, exact.tau, exact.sigma)).held_out
    theta, (mean, sd) = exact.theta, (float(np.asarray(v)[0]) for v in rough.moments()["z"])
    own = exact.tau * (new.astype(np.float64) - theta[0]) / exact.v
    precision = exact.v / exact.sigma**2
    variance = precision * sd**2
    gap = 0.5 * (precision * (own - mean) ** 2 + variance - 1.0 - np.log(variance))
    assert abs(found.gap.mean - gap.mean()) < 5 * found.gap.se + 1e-3
    error = new - theta[0] - exact.tau * mean
    spread = error**2 + theta[1] + exact.tau**2 * sd**2
    elbo = -0.5 * spread / exact.sigma**2 - 0.5 * np.log(2 * np.pi * exact.sigma**2)
    elbo += -0.5 * (mean**2 + sd**2) + 0.5 + np.log(sd)
    assert abs(found.elbo.mean - elbo.mean()) < 0.02  # 2048 draws of a rule, theta at random
    assert found.size == 37 and found.elbo.unit == "nats per datum"
    assert abs(found.elbo.se - elbo.std(ddof=1) / np.sqrt(37)) < 0.05


def test_rows_that_were_fitted_are_not_held_out(rough, exact):
    again = np.concatenate([[7.25, 6.5], exact.x[:3]]).astype(np.float32)
    with pytest.raises(DataError, match="3 of 5 held-out rows are among the fitted ones"):
        diagnose(rough, key=KEY, held_out=infer(rough, again, exact.tau, exact.sigma))


@pytest.mark.slow
def test_rows_that_repeat_by_chance_may_be_held_out(key):
    def model(count):
        rate = numpyro.sample("rate", dist.Normal(0.0, 1.0))
        with numpyro.plate("rows", count.shape[0]):
            z = numpyro.sample("z", dist.Normal(rate, 1.0))
            numpyro.sample("count", dist.Poisson(jnp.exp(z)), obs=count)

    counts = np.random.default_rng(0).poisson(2.0, size=60)
    fitted = fit(from_numpyro(model, counts), key=key, inference=Polynomial(2))
    assert diagnose(fitted, key=key, held_out=infer(fitted, counts[:7])).held_out.size == 7


def test_another_fit_is_not_held_out_data(bound, rough, exact):
    other = fit(bound, key=jax.random.key(9), inference=Constant())
    new = infer(other, np.ones(4, np.float32), exact.tau, exact.sigma)
    for given in (new, rough):
        with pytest.raises(ArgumentError, match="held_out is another fit"):
            diagnose(rough, key=KEY, held_out=given)


def test_a_reference_is_ahead_by_the_closed_form(rough, exact):
    found = diagnose(rough, key=KEY, reference=refine(rough, key=KEY))
    gain = found.reference_gain
    assert abs(gain.mean - exact.constant_shortfall) < 5 * gain.se + 0.02
    assert "the reference is" in str(found)
    small = from_numpyro(linear.model, np.arange(5.0, dtype=np.float32), exact.tau, exact.sigma)
    with pytest.raises(ArgumentError, match="reference is a fit of 5 rows with sites theta, z"):
        diagnose(rough, key=KEY, reference=fit(small, key=KEY))


def two_latents(x):
    """The second latent touches no data: its posterior is its prior."""
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
        numpyro.sample("x", dist.Normal(2.0 * z[:, 0], 1.0), obs=x)


def test_a_latent_that_learns_nothing_is_inactive(key):
    x = (np.sqrt(5.0) * np.random.default_rng(0).normal(size=400)).astype(np.float32)
    found = diagnose(fit(from_numpyro(two_latents, x), key=key, inference=Polynomial(1)), key=key)
    collapse = found.collapse
    assert collapse.names == ("z[0]", "z[1]")
    np.testing.assert_array_equal(collapse.active, [True, False])
    # q is N(0.4 x, 1/5): KL = (0.16 x^2 + 1/5 - 1 + log 5) / 2.
    kl = 0.5 * (0.16 * np.mean(x.astype(np.float64) ** 2) + 0.2 - 1.0 + np.log(5.0))
    np.testing.assert_allclose(collapse.kl, [kl, 0.0], atol=0.02)
    # The data are from the model, so that q averages to the prior: information is the divergence.
    assert abs(collapse.mutual_information - kl) < 0.1
    assert collapse.mutual_information < collapse.most_information
    assert "q of z[1] hardly depends on the data" in str(found)


def test_divergences_are_those_of_the_supports(key):
    """A log-normal latent: the divergence is that of its logarithm."""

    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.LogNormal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(jnp.log(z), 1.0), obs=x)

    x = np.linspace(-2.0, 2.0, 41).astype(np.float32)
    found = diagnose(fit(from_numpyro(model, x), key=key, inference=Polynomial(1)), key=key)
    kl = 0.5 * (0.25 * np.mean(x.astype(np.float64) ** 2) + 0.5 - 1.0 + np.log(2.0))
    np.testing.assert_allclose(found.collapse.kl, [kl], atol=0.02)


@pytest.mark.slow
def test_a_data_point_that_the_globals_hang_on_is_named(key):
    """Known variances and one datum 50 sds out: leaving it out moves the mean by many sds."""

    def model(x):
        mean = numpyro.sample("mean", dist.Normal(0.0, 100.0))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(mean, 1.0))
            numpyro.sample("x", dist.Normal(z, 0.5), obs=x)

    x = np.append(np.random.default_rng(0).normal(size=30), 60.0).astype(np.float32)
    found = diagnose(fit(from_numpyro(model, x), key=key, inference=Polynomial(1)), key=key)
    assert found.influential == 1 and int(np.argmax(found.influence_k)) == 30
    assert "the globals hang on 1 data, most on datum 30: does the model fit them?" in str(found)
    plain = fit(from_numpyro(model, x[:30]), key=key, inference=Polynomial(1))
    assert diagnose(plain, key=key).influential == 0


def test_a_bad_tail_is_blamed_on_the_function_or_on_the_family(key):
    """Constant factors too narrow in place; and a family without the tails of a Cauchy."""

    def gaussian(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 2.0))
            numpyro.sample("x", dist.Normal(z, 0.3), obs=x)

    x = (2.0 * np.random.default_rng(0).normal(size=100)).astype(np.float32)
    rough = fit(from_numpyro(gaussian, x), key=key, inference=MLP(2, 1, skip=False))
    off = jax.tree.map(lambda v: 0.2 * v, rough.variational)
    found = diagnose(dataclasses.replace(rough, variational=off), key=key)
    assert found.untrusted > 10 and found.blamed_on_function == found.untrusted

    def heavy(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Cauchy(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(0.01 * z, 10.0), obs=x)

    fitted = fit(from_numpyro(heavy, x), key=key, inference=Constant())
    found = diagnose(fitted, key=key)
    assert found.untrusted == 100 and found.blamed_on_function == 0


def test_point_estimates_have_no_influence_to_measure(bound):
    found = diagnose(fit(bound, key=KEY, globals_=Point(), inference=Polynomial(1)), key=KEY)
    assert np.isnan(found.influence_k).all() and found.influential == 0


def test_some_rows_are_refined_and_the_rest_is_left(rough, exact):
    worst = [row.index for row in diagnose(rough, key=KEY).worst]
    refined = refine(rough, key=KEY, rows=worst)
    mean, sd = (np.asarray(v) for v in refined.moments()["z"])
    own = exact.tau * (exact.x - exact.theta[0]) / exact.v
    np.testing.assert_allclose(mean[worst], own[worst], atol=2e-3)
    np.testing.assert_allclose(sd[worst], exact.sigma / np.sqrt(exact.v), rtol=2e-3)
    others = np.delete(np.arange(200), worst)
    before = np.asarray(rough.moments()["z"][0])
    np.testing.assert_allclose(mean[others], before[others], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(refined.variational["globals"], rough.variational["globals"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([200], "rows names datum 200; expected positions from 0 to 199"),
        ([-1, 3], "rows names datum -1; expected positions from 0 to 199"),
        (np.zeros(0, int), "rows is empty; expected positions of data"),
        (np.asarray([0.5]), "type float64; expected positions of data"),
    ],
)
def test_rows_that_are_not_there_are_refused(rough, rows, message):
    with pytest.raises(ArgumentError, match=message):
        refine(rough, key=KEY, rows=rows)
