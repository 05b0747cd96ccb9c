"""What the measuring scripts compute themselves, and not by timing."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from compilations import covered
from growing import Closed, simulate
from tracking import Look, Track, first_of_the_last_run

from amortis import Progress
from amortis.experiments import linear


def test_nested_and_overlapping_intervals_count_once():
    assert covered([]) == 0.0
    assert covered([(3.0, 4.0), (0.0, 2.0), (0.5, 1.0), (1.5, 2.5)]) == 3.5


@pytest.mark.parametrize(
    ("there", "found"), [([], None), ([1, 0], None), ([0, 1, 0, 1, 1], 3), ([1, 1], 0)]
)
def test_come_and_stay_is_where_the_last_run_begins(there, found):
    looks = [Look(float(i), i, 0.0) for i in range(len(there))]
    first = first_of_the_last_run([bool(each) for each in there], looks)
    assert (None if first is None else first.iterations) == found


def test_a_track_ends_what_is_there_and_what_is_not():
    progress = Progress(0.0, None, 1, 1, 0.5)
    there = Track(lambda value: value, limit=60.0, patience=3)
    with pytest.raises(KeyboardInterrupt):
        for _ in range(10_000):
            there(progress, lambda: 0.001)
    assert len(there.looks) == 3
    late = Track(lambda value: value, limit=0.0)
    with pytest.raises(KeyboardInterrupt):
        late(progress, lambda: 0.5)
    late.finish(0.5)
    assert late.reached is None


def test_the_closed_form_is_that_of_the_linear_model():
    x = simulate(1000, 1, 1, seed=0)
    expected = linear.exact(x[:, 0, 0].astype(float)).elbo
    np.testing.assert_allclose(1000 * Closed.of(x, 1000).best(), expected, rtol=1e-10)


def test_the_closed_form_is_the_optimum_of_groups_in_several_dimensions():
    units, d = 12, 2
    closed = Closed.of(simulate(units, 7, d, seed=0), units)

    def loss(p: np.ndarray) -> float:
        z, log_sd = p[2 * d :].reshape(2, units, d)
        return -closed.elbo(p[:d], np.exp(p[d : 2 * d]), z, np.exp(log_sd))

    found = minimize(loss, np.zeros(2 * d * (1 + units)), method="L-BFGS-B")
    np.testing.assert_allclose(-found.fun, closed.best(), rtol=1e-5)
    assert -found.fun <= closed.best()
