import numpy as np
from scipy import optimize, stats

from tests.exact_models import ppca


def test_the_log_likelihood_is_that_of_a_multivariate_normal():
    x = ppca.example(20, 4, 2)
    loadings, mean, noise = ppca.maximum_likelihood(x, 2)
    covariance = loadings @ loadings.T + noise**2 * np.eye(4)
    expected = stats.multivariate_normal(mean, covariance).logpdf(x).sum()
    np.testing.assert_allclose(ppca.log_likelihood(x, loadings, mean, noise), expected, rtol=1e-12)


def test_nothing_near_the_maximum_is_more_likely():
    x = ppca.example(20, 3, 1)
    loadings, mean, noise = ppca.maximum_likelihood(x, 1)

    def loss(p):
        return -ppca.log_likelihood(x, p[:3, None], p[3:6], np.exp(p[6]))

    start = np.concatenate([loadings[:, 0] + 0.3, mean - 0.2, [np.log(noise) + 0.2]])
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(
        -found.fun, ppca.log_likelihood(x, loadings, mean, noise), rtol=1e-10
    )


def test_the_posterior_is_that_of_a_linear_regression():
    x = ppca.example(5, 4, 2)
    loadings, mean, noise = ppca.maximum_likelihood(x, 2)
    means, precision = ppca.posterior(x, loadings, mean, noise)
    np.testing.assert_allclose(precision, np.eye(2) + loadings.T @ loadings / noise**2, rtol=1e-10)
    padded = np.concatenate([loadings / noise, np.eye(2)])
    for row, expected in zip(x, means, strict=True):
        target = np.concatenate([(row - mean) / noise, np.zeros(2)])
        np.testing.assert_allclose(np.linalg.lstsq(padded, target)[0], expected, rtol=1e-10)
