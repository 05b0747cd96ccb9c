"""When moments under q count as wrong, given what corrects them."""

import numpy as np
import pytest

from amortis.diagnostics.spread import Spread


def spread(shift=0.0, error=0.01, ratio=1.0, weighted=1.0, responding=np.nan):
    """One coordinate with q = N(0, 1) and a weighted mean and sds beside it."""
    return Spread(
        names=("a",),
        means=np.zeros(1),
        sds=np.asarray([1.0 / ratio]),
        responding=np.asarray([responding]),
        weighted_means=np.asarray([shift]),
        weighted_errors=np.asarray([error]),
        weighted_sds=np.asarray([weighted]),
    )


@pytest.mark.parametrize(
    ("shift", "error", "expected"),
    [
        (0.19, 0.01, False),  # surely there, and small
        (0.21, 0.01, True),
        (0.21, 0.10, True),  # seen, if barely; how far is not certain
        (0.30, 0.16, False),  # within two standard errors of nothing
        (-0.40, 0.10, True),
        (np.nan, np.nan, False),  # not measured
    ],
)
def test_a_mean_is_off_where_it_is_seen_to_be_by_a_fifth(shift, error, expected):
    found = spread(shift, error)
    assert found.shifted is expected
    assert bool(found.notes) is expected


def test_a_shift_is_in_sds_of_the_posterior():
    assert spread(0.3, weighted=2.0).shifts == pytest.approx([0.15])
    assert not spread(0.3, weighted=2.0).shifted


@pytest.mark.parametrize(
    ("weighted", "responding", "expected"),
    [(1.1, 1.19, False), (1.1, 1.21, True), (1.25, np.nan, True), (np.nan, np.nan, False)],
)
def test_the_larger_of_two_corrections_counts(weighted, responding, expected):
    found = spread(weighted=weighted, responding=responding)
    assert found.understated is expected
    if expected:
        both = ", by linear response 1.21" if responding > 1.2 else ""
        listed = f"a (sd 1, by importance weights {weighted:.3g}{both})"
        assert found.notes == [f"q understates how uncertain the globals are: {listed}"]


@pytest.mark.parametrize(("responding", "doubted"), [(3.9, False), (4.1, True)])
def test_linear_response_alone_and_far_out_is_quoted_with_a_doubt(responding, doubted):
    (note,) = spread(weighted=np.nan, responding=responding).notes
    assert note.startswith("q understates how uncertain the globals are: a (sd 1, by linear")
    assert note.endswith("may be too much") is doubted
    (note,) = spread(weighted=4.1, responding=responding).notes  # weights confirm it
    assert not note.endswith("may be too much")
