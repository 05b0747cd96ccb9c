"""Few draws that reach the tails give the k-hat of many."""

import numpy as np
import pytest
from scipy import stats

from amortis.diagnostics.pareto import EXACT, pareto_k
from amortis.diagnostics.tail_draws import NOMINAL_DRAWS, tail_k, tail_rule


def test_of_equal_mass_it_is_the_estimate_of_the_paper():
    generator = np.random.default_rng(0)
    log_weights = 0.4 * generator.normal(size=(20, NOMINAL_DRAWS)) ** 2
    mass = np.full(NOMINAL_DRAWS, 1.0 / NOMINAL_DRAWS)
    np.testing.assert_allclose(tail_k(log_weights, mass), pareto_k(log_weights), atol=1e-3)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_mass_is_how_often_q_would_draw_them(dimension):
    """Moments under the mass are those of q: the weighted sum is importance sampling."""
    z, theta, mass = tail_rule(dimension, 2, [1], 4096)
    both = np.concatenate([z, theta], axis=1)
    assert abs(mass.sum() - 1.0) < 1e-12
    np.testing.assert_allclose(mass @ both**2, np.ones(dimension + 2), rtol=0.04)
    np.testing.assert_allclose(mass @ both**4, 3.0 * np.ones(dimension + 2), rtol=0.1)
    np.testing.assert_allclose(mass @ both, np.zeros(dimension + 2), atol=0.03)
    np.testing.assert_allclose((z * mass[:, None]).T @ theta, 0.0, atol=0.06)


def test_a_second_mode_that_few_draws_never_meet_is_found():
    """Ratio of a mixture with a mode at five sds: 1000 draws call it fine in most tries."""
    mode = 4.8

    def log_ratio(z):
        log_p = np.logaddexp(stats.norm.logpdf(z), stats.norm.logpdf(z, mode, 0.25) - 0.5)
        return log_p - stats.norm.logpdf(z)

    z, _, mass = tail_rule(1, 0, [1], 2048)
    found = tail_k(log_ratio(z[:, 0])[None], mass)
    generator = np.random.default_rng(0)
    many = pareto_k(log_ratio(generator.normal(size=(20, NOMINAL_DRAWS))))
    few = pareto_k(log_ratio(generator.normal(size=(20, 1000))))
    assert found[0] > 0.7 and np.mean(many > 0.7) > 0.9
    assert np.mean(few > 0.7) < 0.3


@pytest.mark.parametrize("scale", [1.2, 1.5, 2.0])
def test_gaussian_tails_have_their_index(scale):
    """The ratio of N(0, s^2) to N(0, 1) has tail index 1 - 1/s^2, slowly approached."""
    z, _, mass = tail_rule(1, 0, [1], 2048)
    found = tail_k((0.5 * z.T**2 * (1.0 - scale**-2)), mass)[0]
    draws = np.random.default_rng(1).normal(size=(20, NOMINAL_DRAWS))
    many = pareto_k(0.5 * draws**2 * (1.0 - scale**-2))
    assert abs(found - many.mean()) < 0.1 + 4.0 * many.std()


def test_exact_and_broken_ratios_are_called_so():
    _, _, mass = tail_rule(1, 0, [1], 2048)
    log_weights = np.full((3, 2048), 7.0)
    log_weights[1, 100] = np.nan
    log_weights[2] += 1e-3 * np.random.default_rng(0).random(2048)
    found = tail_k(log_weights, mass)
    assert found[0] == EXACT and found[1] == np.inf and found[2] < 0.7
