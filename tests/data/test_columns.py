import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amortis._errors import DataError
from amortis.data.columns import assemble, chosen, group_columns, in_range, narrow


def test_lone_columns_keep_their_names():
    assert group_columns(["x", "sd"], "t") == {"x": ("x",), "sd": ("sd",)}


def test_numbered_columns_form_a_group_in_the_order_of_their_numbers():
    names = ["x.10", "y", *(f"x.{i}" for i in range(10))]
    assert group_columns(names, "t") == {"x": tuple(f"x.{i}" for i in range(11)), "y": ("y",)}


def test_one_numbered_column_is_a_group_of_one():
    assert group_columns(["x.0"], "t") == {"x": ("x.0",)}


@pytest.mark.parametrize("name", ["x.1", "x.01", "x.00", "x.-1", ".0", "x.", "x_0", "x[0]", "x.a"])
def test_columns_that_are_not_of_a_group(name):
    assert group_columns([name, "y.0"], "t") == {name: (name,), "y": ("y.0",)}


def test_a_second_column_of_the_same_name_made_unique_by_pandas_stays_alone():
    assert group_columns(["x", "x.1"], "t") == {"x": ("x",), "x.1": ("x.1",)}


def test_names_with_points_inside():
    assert group_columns(["a.b.0", "a.b.1"], "t") == {"a.b": ("a.b.0", "a.b.1")}


def test_a_name_that_comes_twice(message):
    got = message(DataError, group_columns, ["x", "y", "x"], "t.csv")
    assert got == "'t.csv' has two columns named 'x'; rename one of them"


@pytest.mark.parametrize("names", [["x", "x.0"], ["x.0", "x"], ["x.0", "x.1", "x"]])
def test_a_group_named_like_a_column(message, names):
    got = message(DataError, group_columns, names, "t.csv")
    assert got == (
        "'t.csv' has a column 'x' and also 'x.0', which would be stacked into 'x'; "
        "rename one of them"
    )


def test_a_gap_in_a_group(message):
    got = message(DataError, group_columns, ["x.0", "x.1", "x.3"], "t.csv")
    assert got == (
        "'t.csv' has columns 'x.0' to 'x.3' without 'x.2'; add it, or number the columns from 0 "
        "without gaps"
    )


@given(st.permutations([f"x.{i}" for i in range(12)] + ["y", "z.1"]))
def test_groups_do_not_depend_on_the_order_of_columns(names):
    groups = group_columns(names, "t")
    assert groups == {"x": tuple(f"x.{i}" for i in range(12)), "y": ("y",), "z.1": ("z.1",)}
    assert [groups[name][0] for name in groups if name != "x"] == [n for n in names if n[0] != "x"]


def test_chosen_arrays():
    groups = {"x": ("x.0", "x.1"), "y": ("y",)}
    assert chosen(groups, None) == groups
    assert chosen(groups, ["x", "other"]) == {"x": ("x.0", "x.1")}
    assert chosen(groups, []) == {}


def test_stacking():
    columns = {"x.0": np.array([1, 2]), "x.1": np.array([0.5, 1.5]), "y": np.array([7, 8])}
    arrays = assemble({"x": ("x.0", "x.1"), "y": ("y",)}, columns, "t")
    np.testing.assert_array_equal(arrays["x"], np.float32([[1, 0.5], [2, 1.5]]), strict=True)
    np.testing.assert_array_equal(arrays["y"], np.int32([7, 8]), strict=True)


def test_a_group_of_one_has_an_axis_of_length_one():
    assert assemble({"x": ("x.0",)}, {"x.0": np.ones(3)}, "t")["x"].shape == (3, 1)


def test_columns_of_rows_stack_between_rows_and_their_axes():
    first, second = np.zeros((4, 3)), np.ones((4, 3))
    stacked = assemble({"x": ("x.0", "x.1")}, {"x.0": first, "x.1": second}, "t")["x"]
    np.testing.assert_array_equal(stacked[:, 1], np.float32(second), strict=True)


def test_rows_of_different_shapes_do_not_stack(message):
    columns = {"x.0": np.zeros((4, 3)), "x.1": np.zeros(4)}
    got = message(DataError, assemble, {"x": ("x.0", "x.1")}, columns, "t.parquet")
    assert got == (
        "'t.parquet' has columns 'x.0' to 'x.1' whose rows have shapes (3,), (), expected one "
        "shape; rename those that do not belong together"
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([-(2**31), 2**31 - 1]), np.int32),
        (np.array([2**31]), np.int64),
        (np.array([-(2**31) - 1]), np.int64),
        (np.array([255], np.uint8), np.int32),
        (np.array([2**64 - 1], np.uint64), np.uint64),
        (np.array([1.5, np.nan, np.inf, -np.inf]), np.float32),
        (np.array([np.nan, np.inf]), np.float32),
        (np.array([1e39]), np.float64),
        (np.array([-1e39, np.inf]), np.float64),
        (np.array([1.5], np.float16), np.float32),
        (np.array([True]), np.bool_),
        (np.array([], np.int64), np.int32),
        (np.array([], np.float64), np.float32),
    ],
)
def test_narrowing(values, expected):
    narrowed = narrow(values)
    assert narrowed.dtype == expected
    np.testing.assert_array_equal(narrowed, values.astype(expected))


def test_reals_keep_64_bits_where_jax_computes_with_64(x64):
    values = np.array([0.1, 1e39])
    np.testing.assert_array_equal(narrow(values), values, strict=True)
    assert narrow(np.array([3])).dtype == np.int32


def test_narrowed_numbers_enter_jax_unchanged():
    for values in (np.array([2**31 - 1]), np.array([3.4e38])):
        narrowed = narrow(values)
        np.testing.assert_array_equal(np.asarray(jax.numpy.asarray(narrowed)), narrowed)


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["i1", "u1", "i2", "u4", "i4", "i8"]))
def test_range_of_integers_agrees_with_a_round_trip(value, target):
    values = np.array([value])
    assert in_range(values, np.dtype(target)) == (values.astype(target).astype(object) == value)


def test_everything_is_in_the_range_of_booleans():
    assert in_range(np.array([True]), np.dtype(bool))
