"""`Settled`: how far one level is from the next."""

import numpy as np

from amortis.optimise.settled import Settled


def test_shifts_are_in_units_of_the_later_scale_and_changes_in_logs():
    before = Settled(1.0, np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    after = Settled(0.9, np.array([1.0, 1.5]), np.array([2.0, 1.0]))
    shift, change = before.moved_to(after)
    assert shift == 0.5
    np.testing.assert_allclose(change, np.log(2.0))


def test_what_has_no_scale_is_not_looked_at():
    before = Settled(1.0, np.array([0.0, 1.0]), np.array([0.0, 2.0]))
    after = Settled(1.0, np.array([9.0, 1.0]), np.array([0.0, 2.0]))
    assert before.moved_to(after) == (0.0, 0.0)
    points = Settled(1.0, np.array([0.0]), np.array([0.0]))
    assert points.moved_to(points) == (0.0, 0.0)


def test_what_is_not_a_number_is_no_rest():
    before = Settled(1.0, np.array([0.0]), np.array([1.0]))
    after = Settled(1.0, np.array([np.nan]), np.array([1.0]))
    shift, _ = before.moved_to(after)
    assert not shift <= 0.1
