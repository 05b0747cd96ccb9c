import dataclasses
import json
import math

import numpy as np
import pytest

from amortis import Estimate, Fit
from amortis.optimise import History
from amortis.report import fit_numbers, flat_entries
from tests.report.small_fit import ROWS, small_fit


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return small_fit()


def test_the_numbers_are_those_of_the_fit(fitted) -> None:
    moments = fitted.moments()
    numbers = fit_numbers(fitted, Estimate(-90.0, 0.5), moments, 1.25)
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert numbers["elbo"] == {"mean": -90.0, "se": 0.5, "unit": "nats, total", "per_datum": -3.0}
    assert numbers["status"] == {
        "name": fitted.status.name,
        "sentence": fitted.status.value,
        "settled": fitted.status.settled,
    }
    # mu (2) and sigma (1), mean and sd each; a linear function of two columns for mean and log sd.
    assert numbers["parameters"] == 2 * 3 + 3 * 2
    assert (numbers["rows"], numbers["plate"], numbers["seconds"]) == (ROWS, "rows", 1.25)
    assert numbers["draws"] == fitted.history.draws[-1]
    assert numbers["iterations"] == fitted.history.iterations[-1]
    assert list(numbers["globals"]) == ["mu", "sigma"]
    np.testing.assert_allclose(numbers["globals"]["mu"]["mean"], moments["mu"][0], rtol=1e-6)
    np.testing.assert_allclose(numbers["globals"]["sigma"]["sd"], moments["sigma"][1], rtol=1e-6)
    assert numbers["history"]["objective"] == fitted.history.objective.tolist()
    assert numbers["versions"]["amortis"] == "0.1.0"


def test_what_is_not_finite_is_none(fitted) -> None:
    history = History(np.array([0.1, 0.2]), np.array([-np.inf, -3.0]), np.array([8, 8]), [12, 24])
    broken = dataclasses.replace(fitted, history=history)
    numbers = fit_numbers(broken, Estimate(math.nan, math.nan), fitted.moments(), 1.0)
    assert numbers["elbo"]["mean"] is numbers["elbo"]["se"] is numbers["elbo"]["per_datum"] is None
    assert numbers["history"]["objective"] == [None, -3.0]
    json.dumps(numbers, allow_nan=False)


def test_a_fit_that_was_interrupted_at_once_has_no_draws(fitted) -> None:
    nothing = np.zeros(0)
    none = dataclasses.replace(fitted, history=History(nothing, nothing, nothing, nothing))
    numbers = fit_numbers(none, Estimate(-1.0, 0.1), fitted.moments(), 1.0)
    assert (numbers["draws"], numbers["iterations"]) == (None, 0)


def test_entries_are_named_by_their_index() -> None:
    mean = np.arange(4.0).reshape(2, 2)
    assert list(flat_entries("W", mean, 10 * mean)) == [
        ("W[0,0]", 0.0, 0.0),
        ("W[0,1]", 1.0, 10.0),
        ("W[1,0]", 2.0, 20.0),
        ("W[1,1]", 3.0, 30.0),
    ]
    assert list(flat_entries("theta", np.array(1.5), np.array(0.5))) == [("theta", 1.5, 0.5)]
