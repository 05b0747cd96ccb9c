import numpy as np
from scipy import optimize

from tests.exact_models import gaussian


def _target(seed=0, d=4):
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(d, d))
    return generator.normal(size=d), root @ root.T + np.eye(d)


def test_the_gap_is_the_divergence_at_the_mean_field_solution():
    mean, precision = _target()
    best = gaussian.kl_of_diagonal(*gaussian.mean_field(mean, precision), mean, precision)
    np.testing.assert_allclose(gaussian.mean_field_gap(precision), best, rtol=1e-12)


def test_no_diagonal_gaussian_comes_closer():
    mean, precision = _target()

    def divergence(parameters):
        means, log_sds = np.split(parameters, 2)
        return gaussian.kl_of_diagonal(means, np.exp(2 * log_sds), mean, precision)

    found = optimize.minimize(divergence, np.zeros(8), tol=1e-12)
    np.testing.assert_allclose(found.fun, gaussian.mean_field_gap(precision), rtol=1e-8)
    np.testing.assert_allclose(found.x[:4], mean, atol=1e-5)


def test_the_divergence_of_a_diagonal_target_is_the_textbook_one():
    value = gaussian.kl_of_diagonal(
        np.array([1.0]), np.array([4.0]), np.array([0.0]), np.array([[1 / 9]])
    )
    np.testing.assert_allclose(value, np.log(3 / 2) + (4 + 1) / 18 - 0.5, rtol=1e-12)


def test_means_that_may_be_anything_lose_nothing():
    mean, precision = _target()
    assert abs(gaussian.shortfall(mean, precision, np.eye(4))) < 1e-20
    free = gaussian.shortfall(mean, precision, np.eye(4)[:, :2])
    fixed = optimize.minimize(
        lambda b: 0.5 * (mean - np.r_[b, 0, 0]) @ precision @ (mean - np.r_[b, 0, 0]), np.zeros(2)
    )
    np.testing.assert_allclose(free, fixed.fun, rtol=1e-8)
