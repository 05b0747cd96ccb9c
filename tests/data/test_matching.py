from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amortis._errors import DataError, MissingColumnError
from amortis.data.matching import UNNAMED, argument_names, match_arguments, match_names

X, SD = np.float32([1, 2]), np.float32([3, 4])


def model(x, sd, scale=1.0, *, flag=None):
    """A model function; its body does not matter here."""


class Callable:
    def __call__(self, x):
        """Take one argument."""


def test_the_arguments_of_a_function():
    expected = {"x": True, "sd": True, "scale": False, "flag": False}
    assert argument_names(model) == expected
    assert argument_names(jax.jit(model)) == expected
    assert argument_names(partial(model, sd=1.0)) == expected | {"sd": False}
    assert argument_names(Callable()) == {"x": True}
    assert argument_names(lambda x, *rest, key, **more: None) == {"x": True, "key": True}


def test_an_argument_that_can_only_be_given_by_position(message):
    def positional(x, /, y):
        """Take x by position only."""

    got = message(DataError, argument_names, positional)
    assert got == (
        "argument 'x' of positional() can only be given by position, expected arguments with "
        "names; remove the '/' after it"
    )


def test_arrays_go_to_the_arguments_of_their_names():
    arrays = {"id": X, "sd": SD, "flag": X, "x": X, "other": SD}
    matched, unused = match_arguments(model, arrays, "t.csv")
    assert list(matched) == ["x", "sd", "flag"]
    assert matched["x"] is X
    assert matched["sd"] is SD
    assert unused == ("id", "other")


def test_nothing_is_gathered_by_star_arguments():
    matched, unused = match_arguments(lambda x, **more: None, {"x": X, "more": SD}, "t.csv")
    assert list(matched) == ["x"]
    assert unused == ("more",)


@given(st.sets(st.sampled_from(["x", "sd", "scale", "flag", "a", "b"])))
def test_every_array_is_either_given_or_unused(names):
    names = sorted(names | {"x", "sd"})
    pairs, unused = match_names(model, names, "t")
    assert sorted([*pairs, *unused]) == names
    assert set(pairs) == set(names) & {"x", "sd", "scale", "flag"}
    assert all(argument == name for argument, name in pairs.items())


def test_a_missing_column_with_a_near_name(message):
    got = message(MissingColumnError, match_arguments, model, {"x": X, "sdev": SD}, "t.csv")
    assert got == (
        "'t.csv' has no column 'sd' for that argument of model(), it has 'x', 'sdev'; "
        "did you mean 'sdev'?"
    )


def test_a_near_name_may_differ_in_case_only(message):
    got = message(MissingColumnError, match_arguments, model, {"X": X, "sd": SD}, "t.csv")
    assert got == (
        "'t.csv' has no column 'x' for that argument of model(), it has 'X', 'sd'; "
        "did you mean 'X'?"
    )


def test_a_missing_column_without_a_near_name(message):
    got = message(MissingColumnError, match_arguments, Callable(), {"height": X}, "t.csv")
    assert got == (
        "'t.csv' has no column 'x' for that argument of Callable(), it has 'height'; "
        "rename a column, or give the argument a default"
    )


def test_a_missing_column_where_there_are_none(message):
    got = message(MissingColumnError, match_arguments, model, {}, "a.npz")
    assert got == (
        "'a.npz' has no column 'x' for that argument of model(), it has none; "
        "rename a column, or give the argument a default"
    )


def test_a_missing_column_among_very_many(message):
    names = [f"pixel{i}" for i in range(784)]
    got = message(MissingColumnError, match_names, model, names, "t.csv")
    assert got.endswith(
        "'pixel18', 'pixel19' and 764 more; rename a column, or give the argument a default"
    )


def test_one_array_without_a_name_goes_to_the_single_required_argument():
    matched, unused = match_arguments(lambda x, k=8, sd=1.0: None, {UNNAMED: X}, "a.idx")
    assert matched.keys() == {"x"}
    assert matched["x"] is X
    assert unused == ()


def test_one_array_without_a_name_goes_to_the_single_argument_there_is():
    assert match_names(lambda x=None: None, [UNNAMED], "a.idx") == ({"x": UNNAMED}, ())


@pytest.mark.parametrize(
    ("function", "taken"),
    [(model, "'x', 'sd'"), (lambda a=1, b=2: None, "'a', 'b'"), (lambda: None, "none")],
)
def test_one_array_without_a_name_and_no_single_argument(message, function, taken):
    got = message(DataError, match_arguments, function, {UNNAMED: X}, "a.idx")
    assert got == (
        f"'a.idx' holds one array without a name, and {function.__name__}() takes {taken}, "
        "expected a single argument without default; give data with names, for example as NPZ, "
        "or defaults to the other arguments"
    )


@pytest.mark.parametrize(
    "values", [np.array(["ab"]), np.array([None]), np.array([1j]), np.array(["2024"], "M8[Y]")]
)
def test_arrays_that_do_not_hold_numbers(message, values):
    got = message(DataError, match_arguments, Callable(), {"x": values}, "a.npz")
    assert got == (
        f"'a.npz', argument 'x': got an array of type {values.dtype}, expected numbers or "
        "booleans; encode it as numbers"
    )
    assert match_arguments(lambda y=0: None, {"x": values}, "a.npz") == ({}, ("x",))


@pytest.mark.parametrize(
    ("values", "held"),
    [
        (np.array([2**31]), "int32"),
        (np.array([2**32], np.uint64), "uint32"),
        (np.array([1.0, 1e39]), "float32"),
    ],
)
def test_numbers_beyond_32_bits(message, values, held):
    got = message(DataError, match_arguments, Callable(), {"x": values}, "t.csv")
    assert got == (
        f"'t.csv', argument 'x': got {values.dtype} values beyond the range of {held}, in which "
        "JAX holds them; shift or rescale them, or set JAX_ENABLE_X64=1"
    )


@pytest.mark.parametrize("values", [np.array([2**31]), np.array([1e39])])
def test_numbers_beyond_32_bits_where_jax_computes_with_64(x64, values):
    assert match_arguments(Callable(), {"x": values}, "t.csv")[0]["x"] is values


@pytest.mark.parametrize(
    "values",
    [np.array([2**31 - 1]), np.array([1.0, np.nan, np.inf]), np.array([True]), np.uint8([255])],
)
def test_numbers_that_32_bits_hold(values):
    assert match_arguments(Callable(), {"x": values}, "t.csv")[0]["x"] is values
