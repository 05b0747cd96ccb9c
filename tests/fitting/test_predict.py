"""Replicates and pointwise likelihoods of fits, beside closed forms."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

from amortis import (
    ArgumentError,
    Constant,
    Point,
    Polynomial,
    SetNetwork,
    Table,
    fit,
    from_density,
    from_numpyro,
    infer,
    log_likelihood,
    predict,
)
from amortis.fitting import log_densities
from tests.exact_models import linear
from tests.fitting.unfitted import unfitted

KEY = jax.random.key(5)
DRAWS = 4000
ROWS = 60
CHANCE = 1e-6
"""False-failure rate of each comparison below; there are fewer than a hundred."""


def close_in_mean(draws, mean, variance):
    """Whether the averages of normal draws are within their exact bounds, all entries together."""
    z = np.abs(draws.mean(0) - mean) / np.sqrt(variance / len(draws))
    assert z.max() < stats.norm.isf(CHANCE / 2 / z.size)


def close_in_variance(draws, variance):
    ratio = draws.var(0, ddof=1) / variance * (len(draws) - 1)
    assert ratio.max() < stats.chi2.isf(CHANCE / 2 / ratio.size, len(draws) - 1)
    assert ratio.min() > stats.chi2.ppf(CHANCE / 2 / ratio.size, len(draws) - 1)


@pytest.fixture(scope="module")
def exact():
    return linear.example(ROWS, prior_sd=3.0)


@pytest.fixture(scope="module")
def fitted(exact):
    bound = from_numpyro(
        linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma, exact.prior_sd
    )
    return fit(bound, key=KEY, inference=Polynomial(1))


def test_replicates_have_the_moments_of_the_closed_form(fitted, exact):
    """N(θ* + τ zₙ*, σ² + τ² var zₙ* + var θ*) with the best factorized q*, which the fit is."""
    x = predict(fitted, key=KEY, draws=DRAWS)["x"].astype(np.float64)
    (theta, theta_variance), (z, z_variance) = exact.theta, exact.z
    variance = exact.sigma**2 + exact.tau**2 * z_variance + theta_variance
    assert x.shape == (DRAWS, ROWS)
    close_in_mean(x, theta + exact.tau * z, np.full(ROWS, variance))
    close_in_variance(x, np.full(ROWS, variance))
    # Rows share θ, and nothing else.
    total = x.sum(axis=1, keepdims=True)
    shared = ROWS * (variance - theta_variance) + ROWS**2 * theta_variance
    close_in_variance(total, np.full(1, shared))


def test_new_rows_are_predicted_by_the_function(fitted, exact):
    new = np.asarray([-8.0, 0.0, 12.0], np.float32)
    post = infer(fitted, new, exact.tau, exact.sigma, exact.prior_sd)
    x = predict(post, key=KEY, draws=DRAWS)["x"].astype(np.float64)
    (theta, theta_variance), z_variance = exact.theta, exact.z[1]
    mean = theta + exact.tau**2 * (new - theta) / exact.v
    variance = exact.sigma**2 + exact.tau**2 * z_variance + theta_variance
    close_in_mean(x, mean, np.full(3, variance))
    close_in_variance(x, np.full(3, variance))
    assert log_likelihood(post, key=KEY, draws=7)["x"].shape == (7, 3)


def test_replicates_and_likelihoods_are_of_the_draws_of_the_posterior(fitted, exact):
    posterior = fitted.posterior(key=KEY, draws=50)
    mean = posterior["theta"][:, None] + exact.tau * posterior["z"]
    expected = stats.norm(mean, exact.sigma).logpdf(exact.x)
    found = log_likelihood(fitted, key=KEY, draws=50)["x"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    residual = (predict(fitted, key=KEY, draws=DRAWS)["x"] - 0.0).astype(np.float64)
    every = fitted.posterior(key=KEY, draws=DRAWS)
    residual -= every["theta"][:, None] + exact.tau * every["z"]
    close_in_variance(residual.reshape(-1, 1), np.full(1, exact.sigma**2))


def test_draws_in_blocks_are_the_same_however_much_is_evaluated(fitted, monkeypatch):
    """Smaller blocks have keys of their own; within them, few draws at once change nothing."""
    monkeypatch.setattr("amortis.fitting.draws.BLOCK_NUMBERS", ROWS * 8)
    jax.clear_caches()
    posterior = fitted.posterior(key=KEY, draws=21)
    x = predict(fitted, key=KEY, draws=21)["x"]
    assert x.shape == (21, ROWS) and len(np.unique(x)) == x.size
    again = log_likelihood(fitted, key=KEY, draws=21)["x"]
    mean = posterior["theta"][:, None] + 1.155 * posterior["z"]
    expected = stats.norm(mean, 2.43).logpdf(np.asarray(fitted.model.inputs[:, 0]))
    np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-4)
    monkeypatch.undo()
    jax.clear_caches()


def test_wide_observations_are_drawn_few_at_a_time(key, monkeypatch):
    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z[:, None], 0.5).to_event(1), obs=x)

    x = np.random.default_rng(0).normal(size=(8, 10)).astype(np.float32)
    fitted = unfitted(from_numpyro(model, x), Constant())
    whole = predict(fitted, key=key, draws=23)["x"]
    # 23 draws of the latents fit into one block, but only 2 of the data.
    monkeypatch.setattr("amortis.fitting.draws.BLOCK_NUMBERS", 23 * 8 * 10)
    jax.clear_caches()
    np.testing.assert_allclose(predict(fitted, key=key, draws=23)["x"], whole, rtol=1e-5)
    assert whole.shape == (23, 8, 10)
    jax.clear_caches()


@pytest.mark.slow
def test_groups(key):
    def model(y, group, groups):
        with numpyro.plate("groups", groups):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)

    generator = np.random.default_rng(0)
    group = generator.integers(0, 20, 120)
    y = (generator.normal(size=20)[group] + generator.normal(size=120)).astype(np.float32)
    fitted = unfitted(from_numpyro(model, y, group, 20), SetNetwork(width=0))
    mean, sd = (np.asarray(v, np.float64) for v in fitted.moments()["z"])
    drawn = predict(fitted, key=key, draws=DRAWS)["y"].astype(np.float64)
    close_in_mean(drawn, mean[group], 1.0 + sd[group] ** 2)
    close_in_variance(drawn, 1.0 + sd[group] ** 2)
    new = infer(fitted, np.asarray([1.0, 2.0, -1.0], np.float32), np.asarray([0, 0, 2]), 4)
    drawn = predict(new, key=key, draws=DRAWS)["y"].astype(np.float64)
    mean, sd = (np.asarray(v, np.float64) for v in new.moments()["z"])
    owner = [0, 0, 2]
    close_in_mean(drawn, mean[owner], 1.0 + sd[owner] ** 2)


def test_coupled_units(key):
    """A random walk: its neighbors are taken from q, not from the replicate."""

    def model(y):
        with numpyro.plate("steps", y.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("y", dist.Normal(jnp.cumsum(z), 0.5).to_event(1), obs=y)

    y = np.cumsum(np.random.default_rng(0).normal(size=8)).astype(np.float32)
    fitted = unfitted(from_numpyro(model, y), Table())
    assert not fitted.model.separable
    mean, sd = (np.asarray(v, np.float64) for v in fitted.moments()["z"])
    drawn = predict(fitted, key=key, draws=DRAWS)["y"].astype(np.float64)
    close_in_mean(drawn, np.cumsum(mean), 0.25 + np.cumsum(sd**2))
    close_in_variance(drawn, 0.25 + np.cumsum(sd**2))
    # One event with an entry per unit: the units are the points.
    assert log_likelihood(fitted, key=key, draws=3)["y"].shape == (3, 8)


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_counts_stay_counts(key):
    def model(x, trials):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Binomial(trials, logits=z), obs=x)

    trials = np.full(20, 7)
    x = np.random.default_rng(0).integers(0, 8, 20)
    fitted = unfitted(from_numpyro(model, x, trials), Constant())
    drawn = predict(fitted, key=key, draws=200)["x"]
    assert drawn.dtype.kind == "i" and drawn.min() == 0 and drawn.max() == 7


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("spread", [None, 6.0])
def test_counts_whose_totals_are_data_are_drawn(spread, key):
    """Multinomial and, with a spread, Dirichlet-multinomial rows, by their first two moments."""
    shares = np.array([0.5, 0.3, 0.2], np.float32)

    def model(x):
        totals = x.sum(axis=-1)
        with numpyro.plate("rows", x.shape[0]):
            numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            law = dist.Multinomial(totals, shares)
            if spread is not None:
                law = dist.DirichletMultinomial(spread * shares, totals)
            numpyro.sample("x", law, obs=x)

    x = np.random.default_rng(0).multinomial([3, 20, 40], shares)
    fitted = unfitted(from_numpyro(model, x), Constant())
    drawn = predict(fitted, key=key, draws=DRAWS)["x"]
    totals = x.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(drawn.sum(axis=2), np.broadcast_to(totals[:, 0], (DRAWS, 3)))
    variance = totals * shares * (1.0 - shares)
    if spread is not None:
        variance = variance * (totals + spread) / (1.0 + spread)
    close_in_mean(drawn, totals * shares, variance)
    # Of so many draws a variance is within a tenth: five of its standard errors at the least.
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.13)


def test_log_densities_average_to_the_elbo(fitted, exact):
    log_p, log_q = log_densities(fitted, key=KEY, draws=DRAWS)
    ratio = log_p - log_q
    se = ratio.std(ddof=1) / np.sqrt(DRAWS)
    assert abs(ratio.mean() - exact.elbo) < stats.norm.isf(CHANCE / 2) * se + 1e-3
    assert log_p.dtype == log_q.dtype == np.float64
    # Each by itself: the joint and the factors at the same draws.
    posterior = fitted.posterior(key=KEY, draws=DRAWS)
    theta, z = posterior["theta"].astype(np.float64), posterior["z"].astype(np.float64)
    expected = stats.norm(0.0, exact.prior_sd).logpdf(theta) + stats.norm.logpdf(z).sum(axis=1)
    mean = theta[:, None] + exact.tau * z
    expected += stats.norm(mean, exact.sigma).logpdf(exact.x).sum(axis=1)
    np.testing.assert_allclose(log_p, expected, atol=1e-3)
    (theta_mean, theta_sd), (z_mean, z_sd) = (fitted.moments()[n] for n in ("theta", "z"))
    of_q = stats.norm(theta_mean, theta_sd).logpdf(theta)
    of_q += stats.norm(z_mean, z_sd).logpdf(z).sum(axis=1)
    np.testing.assert_allclose(log_q, of_q, atol=1e-3)


def test_log_densities_of_an_exact_q_differ_by_the_evidence(key):
    """A scale on the positive half line: its log determinant is in both."""

    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.LogNormal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(jnp.log(z), 1.0), obs=x)

    x = np.random.default_rng(0).normal(size=30).astype(np.float32)
    fitted = fit(from_numpyro(model, x), key=key, inference=Polynomial(1))
    log_p, log_q = log_densities(fitted, key=key, draws=500)
    evidence = stats.norm(0.0, np.sqrt(2.0)).logpdf(x).sum()
    np.testing.assert_allclose(log_p - log_q, evidence, atol=2e-3)
    assert log_p.std() > 1.0


def test_log_densities_keep_their_digits(key):
    """A log joint of 4e5 nats has a spacing of 0.03 in 32 bit; sums of 16 rows one of 1e-6."""

    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    x = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    fitted = unfitted(from_numpyro(model, x), Polynomial(1))
    log_p, _ = log_densities(fitted, key=key, draws=3)
    z = fitted.posterior(key=key, draws=3)["z"].astype(np.float64)
    expected = -0.5 * (z**2 + (x.astype(np.float64) - z) ** 2).sum(axis=1)
    expected -= len(x) * np.log(2 * np.pi)
    assert abs(log_p.mean()) > 2.0e5
    np.testing.assert_allclose(log_p, expected, rtol=0.0, atol=5e-3)


@pytest.mark.slow
def test_point_estimates_have_no_density(exact, key):
    bound = from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma, 3.0)
    fitted = fit(bound, key=key, inference=Polynomial(1), globals_=Point())
    log_p, log_q = log_densities(fitted, key=key, draws=DRAWS)
    elbo = fitted.elbo(key=jax.random.key(1), draws=400)
    se = np.hypot((log_p - log_q).std(ddof=1) / np.sqrt(DRAWS), elbo.se)
    assert abs((log_p - log_q).mean() - elbo.mean) < stats.norm.isf(CHANCE / 2) * se + 1e-3
    assert len(np.unique(fitted.posterior(key=key, draws=5)["theta"])) == 1


def refusal(call) -> str:
    with pytest.raises(ArgumentError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ask", [predict, log_likelihood])
def test_what_cannot_be_asked_is_refused_in_one_line(ask, fitted, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # which comes first here
    assert "draws is 0; expected at least 1" in refusal(lambda: ask(fitted, key=KEY, draws=0))
    assert "draws is 1.5; expected a whole" in refusal(lambda: ask(fitted, key=KEY, draws=1.5))
    assert "key is 0; expected one random key" in refusal(lambda: ask(fitted, key=0))
    assert "an array of (2,) keys" in refusal(lambda: ask(fitted, key=jax.random.split(KEY)))
    assert "fitted is 3; expected an object" in refusal(lambda: ask(3, key=KEY))
    many = refusal(lambda: ask(fitted, key=KEY, draws=10_000_000))
    assert "are 6e+08 numbers; expected at most 2.5e+08: ask for draws=4166666 or fewer" in many


@pytest.mark.parametrize("ask", [predict, log_likelihood])
def test_a_key_of_the_old_kind_does(ask, fitted, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    assert ask(fitted, key=jax.random.PRNGKey(0), draws=3)["x"].shape == (3, ROWS)


@pytest.mark.parametrize("ask", [predict, log_likelihood])
def test_models_without_observed_sites_are_refused_in_one_line(ask, key):
    def factors_only(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.factor("x", -0.5 * (x - z) ** 2)

    x = np.arange(5.0, dtype=np.float32)
    fitted = unfitted(from_numpyro(factors_only, x), Constant())
    assert "no observed site, only factors" in refusal(lambda: ask(fitted, key=key))
    by_hand = from_density(
        lambda theta: -0.5 * theta["mu"] ** 2,
        lambda theta, z, x: -0.5 * (z["z"] - theta["mu"]) ** 2 - 0.5 * (x - z["z"]) ** 2,
        x,
        globals_={"mu": ()},
        locals_={"z": ()},
    )
    fitted = unfitted(by_hand, Constant())
    assert "expected one made by from_numpyro" in refusal(lambda: ask(fitted, key=key))
