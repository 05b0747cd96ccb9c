"""Bands against closed forms and simulation, and the test of symmetry against enumeration."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom

from amortis.diagnostics.ecdf_bands import ecdf_band, probability_inside
from amortis.diagnostics.symmetry import symmetry_p


def test_one_point_is_binomial():
    lower, upper = np.asarray([12.0]), np.asarray([31.0])
    inside = probability_inside(50, np.asarray([0.4]), lower, upper)
    expected = binom.cdf(31, 50, 0.4) - binom.cdf(11, 50, 0.4)
    assert inside == pytest.approx(expected, rel=1e-12)


def test_two_points_are_a_sum_over_both_counts():
    size, at = 9, np.asarray([0.3, 0.7])
    lower, upper = np.asarray([1.0, 4.0]), np.asarray([4.0, 8.0])
    expected = sum(
        binom.pmf(first, size, 0.3) * binom.pmf(second - first, size - first, 0.4 / 0.7)
        for first in range(1, 5)
        for second in range(max(4, first), 9)
    )
    assert probability_inside(size, at, lower, upper) == pytest.approx(expected, rel=1e-12)


def test_bounds_that_hold_everything_have_probability_one():
    at = np.linspace(0.05, 0.95, 19)
    inside = probability_inside(300, at, np.zeros(19), np.full(19, 300.0))
    assert inside == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize(("size", "draws"), [(1000, 199), (200, 99), (50, 19)])
def test_uniform_ranks_stay_inside_as_often_as_it_says(size, draws):
    """4 standard errors of 40 000 data sets (0.0044): fails a right band once in 16 000."""
    count = min(draws, 99)
    steps = np.arange(1, count + 1) * (draws + 1) // (count + 1)
    band = ecdf_band(size, tuple((steps / (draws + 1)).tolist()))
    generator = np.random.default_rng(1)
    sets = 40_000
    # Counts up to each point, from multinomial counts between points.
    parts = np.diff(np.concatenate([[0], steps, [draws + 1]])) / (draws + 1)
    counts = np.cumsum(generator.multinomial(size, parts, sets), axis=1)[:, :-1]
    low, high = np.round(band.lower * size), np.round(band.upper * size)
    measured = ((counts >= low) & (counts <= high)).all(axis=1).mean()
    assert 0.95 <= band.probability < 0.955
    assert abs(measured - band.probability) < 4 * np.sqrt(0.05 * 0.95 / sets)
    assert 1 - band.pointwise < 0.05 < len(steps) * (1 - band.pointwise)


def test_a_symmetric_law_is_tested_by_all_its_signs():
    """The p-value is the share of all 2^n sign patterns that are as far from their mirror image."""
    ranks, draws = np.asarray([0, 1, 1, 2, 9, 4, 3, 7, 7]), 10
    twice = 2 * ranks - draws

    def distance(values):
        at = np.arange(-draws, draws + 1)
        below = (values[:, None] <= at).sum(axis=0)
        mirrored = (-values[:, None] <= at).sum(axis=0)
        return np.abs(below - mirrored).max()

    patterns = [
        distance(np.asarray(signs) * np.abs(twice))
        for signs in itertools.product([-1, 1], repeat=len(ranks))
    ]
    expected = np.mean(np.asarray(patterns) >= distance(twice))
    assert symmetry_p(ranks, draws) == pytest.approx(expected, rel=1e-9)


def test_the_test_of_symmetry_sees_bias_and_not_width():
    generator = np.random.default_rng(2)
    narrow = np.round(199 * generator.beta(0.5, 0.5, 1000)).astype(int)
    low = np.round(199 * generator.beta(1.2, 1.0, 1000)).astype(int)
    assert symmetry_p(narrow, 199) > 0.001 and symmetry_p(low, 199) < 1e-4
    assert symmetry_p(np.arange(200), 199) == 1.0
