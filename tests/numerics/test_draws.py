import itertools
import math

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from amortis import numerics


@pytest.mark.parametrize(("draws", "shape"), [(1, (3,)), (2, ()), (7, (2, 3)), (8, (4,))])
def test_antithetic_draws_come_in_mirrored_pairs(key, draws, shape):
    values = np.asarray(numerics.antithetic(key, draws, shape))
    assert values.shape == (draws, *shape)
    half = (draws + 1) // 2
    np.testing.assert_array_equal(values[half:], -values[: draws - half])
    np.testing.assert_array_equal(values[:half], np.asarray(jax.random.normal(key, (half, *shape))))


def test_antithetic_draws_are_standard_normal(key):
    # Kolmogorov-Smirnov on the independent half: false-failure rate 1e-4.
    half = np.asarray(numerics.antithetic(key, 4000, ()))[:2000]
    assert stats.kstest(half, "norm").pvalue > 1e-4


@given(st.integers(1, 6), st.integers(0, 12))
def test_a_low_discrepancy_rule_has_the_moments_of_the_normal(exponent, dimension):
    draws = 2**exponent
    points = numerics.low_discrepancy(draws, dimension)
    assert points.shape == (draws, dimension)
    assert points.dtype == np.float64
    np.testing.assert_allclose(points.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_array_equal(points[draws // 2 :], -points[: draws // 2])
    np.testing.assert_allclose(np.mean(points**2, axis=0), 1.0, rtol=1e-12)


@pytest.mark.parametrize(("draws", "dimension"), [(4, 1), (8, 3), (64, 5), (512, 40)])
def test_a_long_enough_rule_integrates_every_quadratic(draws, dimension):
    points = numerics.low_discrepancy(draws, dimension)
    np.testing.assert_allclose(points.T @ points / draws, np.eye(dimension), atol=1e-10)


def test_projections_are_evenly_spaced_before_they_are_rescaled():
    points = numerics.low_discrepancy(64, 1)[:, 0]
    expected = stats.norm.ppf((np.arange(64) + 0.5) / 64)
    expected /= np.sqrt(np.mean(expected**2))
    np.testing.assert_allclose(np.sort(points), expected, rtol=1e-7)


def test_a_rule_beats_independent_draws_on_a_smooth_integral():
    # E exp(a'e) = exp(|a|^2 / 2); the standard error of 1024 independent draws is 0.023.
    a = np.array([0.4, -0.3, 0.5])
    points = numerics.low_discrepancy(1024, 3)
    assert abs(np.exp(points @ a).mean() - math.exp(a @ a / 2)) < 0.003


def test_coordinates_beyond_the_table_of_sobol_still_have_unit_scale():
    points = numerics.low_discrepancy(4, 21_300)
    np.testing.assert_allclose(np.mean(points**2, axis=0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(points.sum(axis=0), 0.0, atol=1e-12)


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))
def test_reflected_rules_are_the_rule_in_other_directions(exponent, rows, dimension, seed):
    draws = 2**exponent
    points = numerics.reflected(np.random.default_rng(seed), draws, rows, dimension)
    assert points.shape == (draws, rows, dimension)
    np.testing.assert_allclose(points[draws // 2 :], -points[: draws // 2], atol=1e-12)
    rule = numerics.low_discrepancy(draws, dimension)
    for n in range(rows):
        # An orthogonal map keeps lengths and angles between draws.
        np.testing.assert_allclose(points[:, n] @ points[:, n].T, rule @ rule.T, atol=1e-10)


def test_every_row_integrates_every_quadratic():
    points = numerics.reflected(np.random.default_rng(0), 16, 5, 3)
    for n in range(5):
        np.testing.assert_allclose(points[:, n].T @ points[:, n] / 16, np.eye(3), atol=1e-10)


def test_directions_of_rows_are_uniform_and_independent():
    points = numerics.reflected(np.random.default_rng(0), 8, 3000, 3)
    rule = numerics.low_discrepancy(8, 3)
    # The reflection of e along v, uniform on the sphere in 3 dimensions, leaves e'Qe / |e|^2 =
    # 1 - 2 cos^2 with |cos| uniform: Kolmogorov-Smirnov at 1e-4.
    cosine = np.einsum("nd,d->n", points[1], rule[1]) / (rule[1] @ rule[1])
    assert stats.kstest(np.sqrt((1 - cosine) / 2), "uniform").pvalue > 1e-4
    # Neighboring rows are uncorrelated: 4.5 standard errors, 7e-6.
    assert abs(np.corrcoef(cosine, np.roll(cosine, 1))[0, 1]) < 4.5 / math.sqrt(3000)


def test_the_same_generator_gives_the_same_reflections_and_another_gives_others():
    one, same, other = (
        numerics.reflected(np.random.default_rng(seed), 4, 5, 2) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_crossed_noise_meets_with_all_signs(quarter, rows, seed):
    generator = np.random.default_rng(seed)
    theta = generator.normal(size=(quarter, 2))
    first = generator.normal(size=(quarter, rows, 3))
    z_half = np.concatenate([first, -first])
    both, z = numerics.crossed(theta, z_half)
    assert both.shape == (4 * quarter, 2)
    assert z.shape == (4 * quarter, rows, 3)
    for s in range(quarter):
        met = {
            (round(float(both[i, 0]), 12), round(float(z[i, 0, 0]), 12))
            for i in range(s, 4 * quarter, quarter)
        }
        expected = {
            (round(float(a * theta[s, 0]), 12), round(float(b * first[s, 0, 0]), 12))
            for a, b in itertools.product((1, -1), (1, -1))
        }
        assert met == expected
    # An odd function of one times an odd function of the other averages to zero.
    products = np.einsum("si,snj->inj", both**3, np.sinh(z))
    np.testing.assert_allclose(products, 0.0, atol=1e-9)


@pytest.mark.parametrize(("nodes", "dimension"), [(1, 1), (2, 1), (5, 1), (12, 1), (3, 2), (6, 2)])
def test_gauss_hermite_is_exact_for_polynomials(nodes, dimension):
    points, weights = numerics.gauss_hermite(nodes, dimension)
    assert points.shape == (nodes**dimension, dimension)
    np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-12)
    for powers in itertools.product(range(2 * nodes), repeat=dimension):
        exact = math.prod(0 if p % 2 else math.prod(range(p - 1, 0, -2)) for p in powers)
        terms = weights * np.prod(points ** np.array(powers), axis=1)
        # Relative to the terms that cancel: odd powers sum to zero from large parts.
        np.testing.assert_allclose(terms.sum() - exact, 0.0, atol=1e-11 * np.abs(terms).sum())


def test_gauss_hermite_is_not_exact_one_degree_higher():
    points, weights = numerics.gauss_hermite(3, 1)
    assert abs(weights @ points[:, 0] ** 6 - 15) > 1


def test_gauss_hermite_integrates_a_smooth_function_to_machine_precision():
    points, weights = numerics.gauss_hermite(30, 1)
    exact, _ = integrate.quad(lambda e: np.cos(e) * stats.norm.pdf(e), -12, 12, epsabs=1e-14)
    np.testing.assert_allclose(weights @ np.cos(points[:, 0]), exact, rtol=1e-12)


def test_shuffled_rules_are_the_same_points_of_each_row_in_orders_of_their_own():
    rule = numerics.reflected(np.random.default_rng(0), 16, 40, 3)
    mixed = numerics.shuffled(np.random.default_rng(1), rule)
    np.testing.assert_array_equal(mixed[8:], -mixed[:8])
    for n in range(40):
        assert {tuple(p) for p in mixed[:, n]} == {tuple(p) for p in rule[:, n]}
    assert len({tuple(np.argsort(mixed[:8, n, 0])) for n in range(40)}) > 30


@pytest.mark.parametrize("nodes", [16, 150, 151, 384, 1024])
def test_gauss_and_hermites_rule_holds_with_any_number_of_nodes(nodes):
    points, weights = numerics.gauss_hermite(nodes, 1)
    for power, moment in ((0, 1.0), (2, 1.0), (4, 3.0), (6, 15.0), (1, 0.0), (3, 0.0)):
        np.testing.assert_allclose(weights @ points[:, 0] ** power, moment, rtol=1e-9, atol=1e-9)
