import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from amortis._errors import AmortisError, DataError, MissingDependencyError, MissingFileError
from amortis.data.comma_separated import read_csv
from amortis.data.parquet import parquet_names, read_parquet

pytestmark = pytest.mark.usefixtures("here")

FILE = "t.parquet"


def written(**columns: object) -> str:
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(columns), FILE)
    return FILE


def test_columns_by_name():
    got = read_parquet(written(x=[1.5, 2.5], n=[1, 2], flag=[True, False]))
    assert list(got) == ["x", "n", "flag"]
    np.testing.assert_array_equal(got["x"], np.float32([1.5, 2.5]), strict=True)
    np.testing.assert_array_equal(got["n"], np.int32([1, 2]), strict=True)
    np.testing.assert_array_equal(got["flag"], np.array([True, False]), strict=True)


def test_numbered_columns_are_stacked():
    path = written(**{"x.1": [1, 2], "y": [0, 0], "x.0": [3, 4]})
    assert parquet_names(path) == ["x", "y"]
    np.testing.assert_array_equal(read_parquet(path)["x"], np.int32([[3, 1], [4, 2]]), strict=True)


@pytest.mark.parametrize("kind", ["list_", "large_list", "fixed"])
def test_lists_of_one_length_become_rows(kind):
    pa = pytest.importorskip("pyarrow")
    real = pa.float64()
    kinds = {"list_": pa.list_(real), "large_list": pa.large_list(real), "fixed": pa.list_(real, 2)}
    got = read_parquet(written(x=pa.array([[1, 2], [3, 4], [5, 6.5]], kinds[kind])))
    np.testing.assert_array_equal(got["x"], np.float32([[1, 2], [3, 4], [5, 6.5]]), strict=True)


def test_half_precision_and_several_chunks():
    pa = pytest.importorskip("pyarrow")
    parts = pa.chunked_array([pa.array(np.float16([1, 2])), pa.array(np.float16([0.5]))])
    np.testing.assert_array_equal(
        read_parquet(written(x=parts))["x"], np.float32([1, 2, 0.5]), strict=True
    )


def test_not_a_number_is_not_a_missing_value():
    pa = pytest.importorskip("pyarrow")
    got = read_parquet(written(x=pa.array([np.nan, np.inf], pa.float64())))
    np.testing.assert_array_equal(got["x"], np.float32([np.nan, np.inf]), strict=True)


def test_only_the_columns_asked_for_are_read():
    path = written(name=["a", "b"], x=[1, 2], gap=[None, 2])
    assert parquet_names(path) == ["name", "x", "gap"]
    np.testing.assert_array_equal(read_parquet(path, ["x"])["x"], np.int32([1, 2]), strict=True)
    assert list(read_parquet(path, ["x"])) == ["x"]


def test_no_rows(message):
    pa = pytest.importorskip("pyarrow")
    got = message(DataError, read_parquet, written(x=pa.array([], pa.float32())))
    assert got == "'t.parquet' has columns and no rows, expected one row per datum; add them"


def test_a_missing_value(message):
    got = message(DataError, read_parquet, written(x=[1.0, 2.0, None, None]))
    assert got == (
        "'t.parquet', column 'x': the value in row 2 (from 0) is missing, expected a number; "
        "fill it in, or remove the row"
    )


@pytest.mark.parametrize("rows", [[[1, 2], [3, None]], [[1, 2], None]])
def test_a_missing_value_in_or_for_a_list(message, rows):
    got = message(DataError, read_parquet, written(x=rows))
    assert got.startswith("'t.parquet', column 'x': the value in row 1 (from 0) is missing, ")


def test_lists_of_different_lengths(message):
    got = message(DataError, read_parquet, written(x=[[1, 2], [3, 4], [5]]))
    assert got == (
        "'t.parquet', column 'x': row 2 (from 0) lists 1 values, expected 2 as in row 0; "
        "make the lists equally long"
    )


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"], "string"),
        ([["a"], ["b"]], "string"),
        ([{"a": 1}], "struct<a: int64>"),
        ([[[1]]], "list<element: int64>"),
    ],
)
def test_columns_that_do_not_hold_numbers(message, values, kind):
    got = message(DataError, read_parquet, written(x=values))
    assert got == (
        f"'t.parquet', column 'x': got values of type {kind}, expected numbers; "
        "convert the column before saving"
    )


def test_a_name_that_comes_twice(message):
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    pytest.importorskip("pyarrow.parquet").write_table(table, FILE)
    got = message(DataError, parquet_names, FILE)
    assert got == "'t.parquet' has two columns named 'x'; rename one of them"


@pytest.mark.parametrize("read", [read_parquet, parquet_names])
@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"PAR1 not really PAR1"])
def test_other_files(message, read, content):
    pytest.importorskip("pyarrow")
    Path(FILE).write_bytes(content)
    got = message(DataError, read, FILE)
    assert got == "'t.parquet' is not a Parquet file, or is damaged; write or fetch it again"


def test_a_damaged_page(message):
    path = Path(written(x=np.arange(1000.0)))
    path.write_bytes(b"PAR1" + b"\xff" * 400 + path.read_bytes()[404:])
    got = message(DataError, read_parquet, FILE)
    assert got == "'t.parquet' is not a Parquet file, or is damaged; write or fetch it again"


def test_a_damaged_name(message):
    path = Path(written(column=[1, 2]))
    path.write_bytes(path.read_bytes().replace(b"column", b"col\xffmn"))
    got = message(DataError, parquet_names, FILE)
    assert got == "'t.parquet' is not a Parquet file, or is damaged; write or fetch it again"


def test_missing_file(message):
    pytest.importorskip("pyarrow")
    got = message(MissingFileError, read_parquet, FILE)
    assert got == "there is no file 't.parquet'; check the path"


@pytest.mark.parametrize("read", [read_parquet, parquet_names])
def test_without_pyarrow(message, monkeypatch, read):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    got = message(MissingDependencyError, read, FILE)
    assert got == (
        "'t.parquet' is a Parquet file, and reading it needs pyarrow, which is not installed; "
        'run: pip install "amortis[parquet]"'
    )
    assert issubclass(MissingDependencyError, AmortisError)


NUMBERS = arrays.arrays(
    st.sampled_from([np.int8, np.uint16, np.int64, np.float32, np.float64, np.bool_]),
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
)


@given(NUMBERS)
def test_a_table_gives_the_same_arrays_as_csv(values):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    names = [f"x.{j}" for j in range(values.shape[1])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        table = pa.table({name: pa.array(c) for name, c in zip(names, values.T, strict=True)})
        parquet.write_table(table, path)
        assert parquet_names(path) == ["x"]
        got = read_parquet(path)["x"]
        if values.dtype == np.bool_:
            np.testing.assert_array_equal(got, values, strict=True)
            return
        rows = [",".join(map(repr, row)) for row in values.tolist()]
        text = Path(folder) / "t.csv"
        text.write_text("\n".join([",".join(names), *rows]))
        np.testing.assert_array_equal(got, read_csv(text)["x"], strict=True)
