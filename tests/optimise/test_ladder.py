"""Which learning rates are tried."""

import math

import pytest

from amortis.optimise.ladder import next_rate

RUNGS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)


def tried_of(losses):
    """All rates that a search tries whose trials end at these losses."""
    tried = {}
    while (rate := next_rate(tried)) is not None:
        assert rate not in tried
        tried[rate] = losses[rate]
    return list(tried)


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
    away = {rate: abs(RUNGS.index(rate) - RUNGS.index(best)) for rate in RUNGS}
    assert tried_of({rate: 10.0 + n for rate, n in away.items()}) == tried


def test_down_to_the_lowest_rung_where_nothing_is_finite():
    assert tried_of(dict.fromkeys(RUNGS, math.inf)) == [0.01, 0.003, 0.001, 0.0003]
