import math

import numpy as np
import pytest
from scipy import integrate, stats

from tests.exact_models import gaussian, linear


@pytest.mark.parametrize("prior_sd", [None, 0.7])
def test_the_posterior_is_stationary_and_the_gap_is_the_mean_fields(prior_sd):
    exact = linear.example(9, prior_sd=prior_sd)
    mean, precision = exact.posterior
    theta, z = mean[0], mean[1:]
    residual = exact.x - theta - exact.tau * z
    slope = residual.sum() / exact.sigma**2 - exact.prior_precision * theta
    np.testing.assert_allclose(slope, 0, atol=1e-12)
    np.testing.assert_allclose(exact.tau * residual / exact.sigma**2 - z, 0, atol=1e-12)
    np.testing.assert_allclose(exact.gap, gaussian.mean_field_gap(precision), rtol=1e-10)
    np.testing.assert_allclose(1 / np.diag(precision)[1:], exact.z[1], rtol=1e-12)


@pytest.mark.parametrize("prior_sd", [None, 0.7])
def test_the_log_evidence_is_the_integral_over_theta(prior_sd):
    exact = linear.example(6, prior_sd=prior_sd)

    def integrand(theta):
        log_prior = 0.0 if prior_sd is None else stats.norm.logpdf(theta, 0, prior_sd)
        return math.exp(log_prior + stats.norm.logpdf(exact.x, theta, exact.v**0.5).sum() + 15)

    integral, _ = integrate.quad(integrand, -30, 30, points=[exact.theta[0]], epsrel=1e-12)
    np.testing.assert_allclose(math.log(integral) - 15, exact.log_evidence, rtol=1e-10)


def test_with_a_flat_prior_the_text_has_it_in_closed_form():
    exact = linear.example(25)
    n, v, s = exact.n, exact.v, exact.scatter
    elbo = -s / (2 * v) - 0.5 * n * math.log(2 * math.pi * v)
    elbo += 0.5 * math.log(2 * math.pi * exact.sigma**2 / n)
    np.testing.assert_allclose(exact.elbo, elbo, rtol=1e-12)
    np.testing.assert_allclose(exact.gap, 0.5 * math.log(v / exact.sigma**2), rtol=1e-10)
    lost = s * exact.tau**2 / (2 * exact.sigma**2 * v)
    np.testing.assert_allclose(exact.constant_shortfall, lost, rtol=1e-10)
    np.testing.assert_allclose(exact.theta, (exact.x.mean(), exact.sigma**2 / n), rtol=1e-12)


def test_the_elbo_of_the_best_factors_is_the_best_elbo():
    exact = linear.example(12, prior_sd=2.0)
    (mean, variance), (means, common) = exact.theta, exact.z
    sds = np.full(exact.n, common**0.5)
    best = exact.elbo_of((mean, variance**0.5), (means, sds))
    np.testing.assert_allclose(best, exact.elbo, rtol=1e-12)
    constant = exact.elbo_of((mean, variance**0.5), (0 * means + means.mean(), sds))
    assert constant <= exact.elbo - exact.constant_shortfall + 1e-10
