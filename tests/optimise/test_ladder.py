"""Which learning rates are tried, and which is taken."""

import math

import pytest

from amortis.optimise.ladder import best_rate, next_rate

INF = math.inf


def climbed(losses):
    """All rates that a search tries whose trials end at these losses, and the one it takes."""
    tried = {}
    while (rate := next_rate(tried)) is not None:
        assert rate not in tried
        tried[rate] = losses[rate]
    return list(tried), best_rate(tried)


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (0.1, [0.01, 0.03, 0.1]),
        (0.03, [0.01, 0.03, 0.1]),
        (0.01, [0.01, 0.03, 0.003]),
        (0.003, [0.01, 0.03, 0.003, 0.001]),
        (0.0003, [0.01, 0.03, 0.003, 0.001, 0.0003]),
    ],
)
def test_the_best_rung_is_found_from_the_middle(best, tried):
    rungs = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    away = {rate: abs(rungs.index(rate) - rungs.index(best)) for rate in rungs}
    assert climbed({rate: (10.0 + n, 9.9 + n) for rate, n in away.items()}) == (tried, best)


def test_of_two_that_are_about_equal_the_higher_is_taken():
    # Of the better one's gain of 9 the higher rate is 2.9 short, then 3.1.
    assert best_rate({0.01: (10.0, 1.0), 0.03: (50.0, 3.9)}) == 0.03
    assert best_rate({0.01: (10.0, 1.0), 0.03: (50.0, 4.1)}) == 0.01


def test_a_loss_that_rises_makes_nothing_about_equal():
    assert best_rate({0.01: (1.0, 2.0), 0.03: (1.0, 2.1)}) == 0.01


def test_down_to_the_lowest_rung_where_nothing_is_finite():
    tried, taken = climbed(dict.fromkeys((0.0003, 0.001, 0.003, 0.01, 0.03, 0.1), (INF, INF)))
    assert tried == [0.01, 0.003, 0.001, 0.0003]
    assert taken == 0.0003


def test_a_first_block_that_blew_up_says_nothing_of_the_gain():
    assert best_rate({0.01: (INF, 1.0), 0.03: (2.0, 1.5)}) == 0.01
