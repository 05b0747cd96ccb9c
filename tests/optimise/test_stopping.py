import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amortis import ArgumentError, Plateau

RULE = Plateau(tolerance=1e-2)


def test_a_flat_trace_has_settled():
    assert RULE.settled(np.full(RULE.entries, 5.0))


def test_a_short_trace_never_has():
    assert not RULE.settled(np.full(RULE.entries - 1, 5.0))
    assert not RULE.settled(np.zeros(0))
    assert not Plateau(entries=30).settled(np.full(29, 1.0))
    assert Plateau(entries=30).settled(np.full(30, 1.0))


@pytest.mark.parametrize("slope", [0.02, 0.1, 3.0])
@pytest.mark.parametrize("length", [40, 77, 200])
def test_a_line_that_falls_by_more_than_the_tolerance_per_quarter_has_not(slope, length):
    assert not RULE.settled(10.0 - slope * np.arange(float(length)) / (length // 4))


def test_a_line_that_falls_by_less_has():
    assert RULE.settled(10.0 - 0.004 * np.arange(40.0) / 10)


def test_descent_long_ago_is_forgotten():
    trace = np.concatenate([np.linspace(100.0, 1.0, 50), np.full(50, 1.0)])
    assert RULE.settled(trace)
    assert not RULE.settled(trace[:60])


@pytest.mark.parametrize("length", [40, 77])
def test_noise_larger_than_the_tolerance_cannot_stop_it_by_chance(length):
    # 2000 traces whose standard error is 20 tolerances and which still fall by one of them: the
    # rule asks drop + error <= tolerance, so it fires where the noise hides error and drop at once.
    generator = np.random.default_rng(0)
    quarter = length // 4
    sd = 20 * RULE.tolerance * np.sqrt(quarter / 2)
    line = 10.0 - 40 * RULE.tolerance * np.arange(length) / quarter
    stops = sum(RULE.settled(line + sd * generator.normal(size=length)) for _ in range(2000))
    # A drop of 40 tolerances against an error of 20 with one error added: 3 standard errors away.
    assert stops / 2000 < 0.02


def test_noise_is_waited_out():
    generator = np.random.default_rng(1)
    stops = [
        RULE.settled(5.0 + 0.02 * generator.normal(size=length)) for length in (12, 400, 400, 400)
    ]
    assert sum(stops[1:]) >= 2


def test_a_trace_that_rises_has_settled():
    assert RULE.settled(np.linspace(1.0, 2.0, 400))


@given(
    trace=st.lists(st.floats(-10, 10), min_size=12, max_size=40).map(np.array),
    shift=st.sampled_from([-64.0, 32.0]),
    factor=st.sampled_from([0.25, 2.0, 8.0]),
)
def test_the_decision_does_not_depend_on_origin_or_unit(trace, shift, factor):
    trace = np.round(trace, 3)
    decision = Plateau(tolerance=0.5005).settled(trace)
    assert Plateau(tolerance=0.5005).settled(trace + shift) == decision
    assert Plateau(tolerance=0.5005 * factor).settled(trace * factor) == decision


@given(st.lists(st.floats(-10, 10), min_size=12, max_size=40).map(np.array))
def test_a_larger_tolerance_or_less_confidence_stops_no_later(trace):
    if Plateau(tolerance=0.1).settled(trace):
        assert Plateau(tolerance=1.0).settled(trace)
        assert Plateau(tolerance=0.1, confidence=0.5).settled(trace)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": 0.0}, r"Plateau tolerance is 0\.0; expected a positive number"),
        ({"tolerance": float("nan")}, r"Plateau tolerance is nan"),
        ({"entries": 7}, r"Plateau entries is 7; expected at least 8"),
    ],
)
def test_choices_out_of_range_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        Plateau(**arguments)
    assert "\n" not in str(caught.value)
