import math

import numpy as np
import pytest

from amortis.diagnostics.pareto import EXACT, k_error, pareto_k


def one_row(log_weights):
    """Vehtari et al. (2024), appendix, step by step for one set of weights."""
    draws = len(log_weights)
    ordered = np.sort(log_weights - log_weights.max())
    tail = math.ceil(min(0.2 * draws, 3 * math.sqrt(draws)))
    exceed = np.exp(ordered[-tail:]) - np.exp(ordered[-tail - 1])
    candidates = 30 + int(math.sqrt(tail))
    quartile = exceed[int(tail / 4 + 0.5) - 1]
    theta, score = [], []
    for j in range(1, candidates + 1):
        b = 1.0 / exceed[-1] + (1.0 - math.sqrt(candidates / (j - 0.5))) / (3.0 * quartile)
        k = float(np.mean([math.log1p(-b * e) for e in exceed]))
        theta.append(b)
        score.append(tail * (math.log(-b / k) - k - 1.0))
    weights = [1.0 / sum(math.exp(other - own) for other in score) for own in score]
    b = sum(t * w for t, w in zip(theta, weights, strict=True))
    k = float(np.mean([math.log1p(-b * e) for e in exceed]))
    return (tail * k + 10 * 0.5) / (tail + 10)


@pytest.mark.parametrize("draws", [25, 200, 1000])
def test_it_is_the_estimate_of_the_paper(draws):
    generator = np.random.default_rng(0)
    ratio = np.linspace(0.2, 1.5, 12)[:, None]
    log_weights = 0.5 * (1.0 - ratio) * generator.normal(size=(12, draws)) ** 2
    expected = [one_row(row) for row in log_weights]
    np.testing.assert_allclose(pareto_k(log_weights), expected, rtol=1e-9)


@pytest.mark.parametrize("truth", [0.3, 0.7, 1.2])
def test_it_finds_the_index_of_a_pareto_law(truth):
    """Weights U^-k have tail index k; at 1e5 draws the standard error is (1 + k) / 31."""
    uniform = np.random.default_rng(1).random((20, 100_000))
    found = pareto_k(-truth * np.log(uniform))
    error = k_error(100_000, truth)
    assert abs(found.mean() - truth) < 4 * error / math.sqrt(20) + 0.01
    assert found.std() < 1.6 * error  # 20 values: above it once in 1e4


def test_equal_weights_are_exact_and_infinite_ones_are_not():
    log_weights = np.zeros((4, 100)) + 7.0
    log_weights[1] += 1e-5 * np.random.default_rng(0).normal(size=100)
    log_weights[2, 5] = np.inf
    log_weights[3, 5] = np.nan
    np.testing.assert_array_equal(pareto_k(log_weights), [EXACT, EXACT, np.inf, np.inf])


def test_blocks_and_shapes_do_not_matter(monkeypatch):
    log_weights = np.random.default_rng(0).normal(size=(3, 5, 80)) ** 2
    whole = pareto_k(log_weights)
    assert whole.shape == (3, 5)
    monkeypatch.setitem(pareto_k.__globals__, "_BLOCK", 4 * 80 * 2)
    np.testing.assert_array_equal(pareto_k(log_weights), whole)


def test_few_draws_say_nothing():
    assert np.isnan(pareto_k(np.zeros(24)))
