"""Fits of models whose best factorized posterior is known, in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from amortis import (
    MLP,
    Constant,
    FixedDraws,
    FreshDraws,
    Plateau,
    Point,
    Polynomial,
    Status,
    StickTheLanding,
    Table,
    fit,
    from_numpyro,
)
from tests.exact_models import linear, ppca

N = 30

FUNCTIONS = {
    "linear": Polynomial(1),
    "table": Table(),
    "constant": Constant(),
    "mlp": MLP(width=4, depth=1),
}
CLOSE = FixedDraws(tolerance=1e-6, mean_tolerance=1e-5, sd_tolerance=1e-5)


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module", params=[None, 0.6], ids=["flat", "proper"])
def exact(request):
    return linear.example(N, prior_sd=request.param)


@pytest.fixture(scope="module")
def fits(exact):
    model = from_numpyro(linear.model, exact.x, exact.tau, exact.sigma, exact.prior_sd)
    return {
        name: fit(model, key=jax.random.key(1), inference=function, optimiser=CLOSE)
        for name, function in FUNCTIONS.items()
    }


def elbo_of(exact, fitted):
    return exact.elbo_of(fitted.global_moments(), [m.ravel() for m in fitted.local_moments()])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_best_elbo_is_reached(exact, fits, name):
    lost = exact.constant_shortfall if name == "constant" else 0.0
    assert fits[name].status in (Status.CONVERGED, Status.STALLED)
    np.testing.assert_allclose(elbo_of(exact, fits[name]), exact.elbo - lost, atol=1e-6)


@pytest.mark.parametrize("name", ["linear", "table", "mlp"])
def test_moments_are_those_of_the_best_factors(exact, fits, name):
    mean, sd = fits[name].global_moments()
    np.testing.assert_allclose([mean[0], sd[0] ** 2], exact.theta, rtol=1e-3)
    # Half the squared shift in sds is the loss in nats: 1e-6 nats are 1.4e-3 sds in one place.
    means, sds = fits[name].local_moments()
    z, variance = exact.z
    np.testing.assert_allclose(means[:, 0], z, atol=1.5e-3 * variance**0.5)
    np.testing.assert_allclose(sds[:, 0] ** 2, variance, rtol=2.5e-3)


def test_the_constant_has_one_factor_for_all_rows(fits):
    means, sds = fits["constant"].local_moments()
    assert float(jnp.ptp(means)) == float(jnp.ptp(sds)) == 0.0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_sampled_elbo_is_within_its_standard_error(exact, fits, name):
    # 4 standard errors of 2000 pairs: false-failure rate 6.4e-5 for each of eight.
    estimate = fits[name].elbo(key=jax.random.key(2), draws=4000)
    assert abs(estimate.mean - elbo_of(exact, fits[name])) < 4 * estimate.se
    assert 0 < estimate.se < 0.2
    assert estimate.unit == "nats, total"


def test_posterior_draws_have_the_exact_means_and_sds(exact, fits):
    draws = 4000
    posterior = fits["linear"].posterior(key=jax.random.key(3), draws=draws)
    assert posterior["theta"].shape == (draws,)
    assert posterior["z"].shape == (draws, N)
    (mean, variance), (means, common) = exact.theta, exact.z
    values = np.column_stack([posterior["theta"], posterior["z"]])
    sds = np.sqrt(np.concatenate([[variance], np.full(N, common)]))
    # Bonferroni over means, variances and neighbors' correlations: false-failure rate 1e-4.
    limit = stats.norm.isf(1e-4 / (2 * 3 * (N + 1)))
    scores = (values.mean(axis=0) - np.concatenate([[mean], means])) / (sds / np.sqrt(draws))
    assert np.abs(scores).max() < limit
    scores = (values.var(axis=0) / sds**2 - 1) / np.sqrt(2 / draws)
    assert np.abs(scores).max() < limit
    correlations = [np.corrcoef(values[:, i], values[:, i + 1])[0, 1] for i in range(N)]
    assert np.abs(correlations).max() * np.sqrt(draws) < limit


def test_moments_need_no_draws_where_sites_are_real(exact, fits):
    fitted = fits["table"]
    moments = fitted.moments()
    np.testing.assert_allclose(moments["theta"][0], fitted.global_moments()[0][0], rtol=1e-9)
    np.testing.assert_allclose(moments["theta"][1], fitted.global_moments()[1][0], rtol=1e-6)
    np.testing.assert_allclose(moments["z"][0], fitted.local_moments()[0][:, 0], atol=1e-9)
    np.testing.assert_allclose(moments["z"][1], fitted.local_moments()[1][:, 0], rtol=1e-6)


def test_numbers_of_parameters(fits):
    counts = {name: fitted.parameters for name, fitted in fits.items()}
    assert counts == {
        "linear": 2 + 2 * 2,
        "table": 2 + 2 * N,
        "constant": 2 + 2,
        "mlp": 2 + (1 * 4 + 4) + (4 + 1) * 2 + 1 * 2,
    }


@pytest.mark.parametrize("gradient", [None, StickTheLanding()])
def test_fresh_draws_come_to_the_same_optimum(exact, gradient):
    model = from_numpyro(linear.model, exact.x, exact.tau, exact.sigma, exact.prior_sd)
    fitted = fit(
        model,
        key=jax.random.key(1),
        inference=Polynomial(1),
        optimiser=FreshDraws(rate=0.1, batch=10, plateau=Plateau(tolerance=1e-2)),
        gradient=gradient,
    )
    assert fitted.status is Status.CONVERGED
    # Three settled rates at a tolerance of 0.01 nats per datum each.
    assert exact.elbo - 0.03 * N < elbo_of(exact, fitted) <= exact.elbo + 1e-9


def test_point_estimates_are_of_maximum_likelihood():
    x = ppca.example(40, 4, 2)
    fitted = fit(
        from_numpyro(ppca.model, x, 2),
        key=jax.random.key(0),
        inference=Polynomial(1),
        globals_=Point(),
        optimiser=CLOSE,
    )
    best = ppca.log_likelihood(x, *ppca.maximum_likelihood(x, 2))
    values = {name: mean for name, (mean, _) in fitted.moments().items()}
    loadings, mean, noise = (np.asarray(values[name]) for name in ("W", "mu", "s"))
    likelihood = ppca.log_likelihood(x, loadings, mean, float(noise))
    assert best - 1e-5 < likelihood <= best + 1e-9
    # With orthogonal columns the posterior factorizes, and the bound touches the likelihood.
    estimate = fitted.elbo(key=jax.random.key(1), draws=400)
    assert abs(estimate.mean - best) < 4 * estimate.se + 1e-5  # false-failure rate 6e-5
    means, precision = ppca.posterior(x, loadings, mean, float(noise))
    np.testing.assert_allclose(fitted.local_moments()[0], means, atol=5e-3)
    np.testing.assert_allclose(
        np.asarray(fitted.local_moments()[1][0]) ** -2, np.diag(precision), rtol=5e-3
    )
    assert fitted.parameters == (4 * 2 + 4 + 1) + (1 + 4) * 4
    assert all(float(jnp.max(sd)) == 0.0 for sd in (fitted.moments()[n][1] for n in ("W", "mu")))
