import math

import numpy as np
import pytest

from amortis.experiments.runs import code_rule, reached_for_good, target_of


def naive_code_rule(losses: np.ndarray, target: float, tolerance: float) -> float:
    """As the authors' code has it, on the loss of every single iteration."""
    for i in range(10, len(losses) - 9, 10):
        if abs(losses[i - 10 : i + 10].mean() - target) <= tolerance * abs(target):
            return i
    return math.inf


@pytest.mark.parametrize("tolerance", [0.5, 0.1, 0.01, 1e-5])
@pytest.mark.parametrize("seed", range(5))
def test_the_codes_rule_reads_blocks_as_it_reads_iterations(seed, tolerance) -> None:
    generator = np.random.default_rng(seed)
    losses = 100.0 + 300.0 * np.exp(-np.arange(800) / 90.0) + generator.normal(size=800)
    blocks = losses.reshape(-1, 10).mean(axis=1)
    iterations = [10 * (j + 1) for j in range(len(blocks))]
    found = code_rule(iterations, blocks.tolist(), 100.0, tolerance)
    assert found == naive_code_rule(losses, 100.0, tolerance)


def test_paths_of_other_blocks_are_read_entry_by_entry() -> None:
    assert code_rule([12, 24, 60], [300.0, 109.0, 100.0], 100.0, 0.1) == 24
    assert code_rule([12, 24, 60], [300.0, 109.0, math.nan], 100.0, 0.01) == math.inf
    assert code_rule([], [], 100.0, 0.01) == math.inf


def test_a_path_has_arrived_when_it_does_not_leave_again() -> None:
    times, losses = [1.0, 2.0, 3.0, 4.0, 5.0], [9.0, 1.0, 7.0, 1.5, 1.2]
    assert reached_for_good(times, losses, best=1.0, slack=1.0) == 4.0
    assert reached_for_good(times, losses, best=1.0, slack=10.0) == 1.0
    assert reached_for_good(times, losses, best=1.0, slack=0.1) == math.inf
    assert reached_for_good(times, [*losses[:4], math.nan], best=1.0, slack=1.0) == math.inf
    assert reached_for_good([], [], best=1.0, slack=1.0) == math.inf


def test_noisy_paths_are_averaged_backwards() -> None:
    times = [float(i) for i in range(1, 9)]
    losses = [8.0, 8.0, 4.0, 0.0, 4.0, 0.0, 4.0, 0.0]
    assert reached_for_good(times, losses, best=0.0, slack=2.5, window=1) == 8.0
    # Means of two: 8, 6, 2, 2, 2, 2, 2, at the times 2 to 8.
    assert reached_for_good(times, losses, best=0.0, slack=2.5, window=2) == 4.0
    assert reached_for_good(times[:1], [1.0], best=0.0, slack=2.0, window=10) == 1.0


def test_the_target_is_the_late_mean() -> None:
    losses = [*np.linspace(9.0, 5.0, 90), *([3.0, 1.0] * 5)]
    assert target_of(losses) == 2.0
    assert target_of([4.0, 3.0]) == 3.0
    assert math.isnan(target_of([]))
