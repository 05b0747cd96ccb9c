import csv
import gzip
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from amortis._errors import DataError, MissingFileError
from amortis.data.comma_separated import csv_names, read_csv

pytestmark = pytest.mark.usefixtures("here")

ONE_FLOAT_COLUMN = st.floats(width=32)


def given_text(text: str, name: str = "t.csv") -> str:
    Path(name).write_bytes(text.encode())
    return name


def round_trip(columns: dict[str, list[str]]) -> dict[str, np.ndarray]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv.gz"
        path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
        assert csv_names(path) == list(columns)
        return read_csv(path)


def test_columns_by_name():
    got = read_csv(given_text("x,count\n1.5,3\n-2e-3, 4 \n"))
    assert list(got) == ["x", "count"]
    np.testing.assert_array_equal(got["x"], np.float32([1.5, -2e-3]), strict=True)
    np.testing.assert_array_equal(got["count"], np.int32([3, 4]), strict=True)


def test_numbered_columns_are_stacked():
    path = given_text("x.1,y,x.0\n1,2,3\n4.5,5,6\n")
    assert csv_names(path) == ["x", "y"]
    got = read_csv(path)
    np.testing.assert_array_equal(got["x"], np.float32([[3, 1], [6, 4.5]]), strict=True)
    np.testing.assert_array_equal(got["y"], np.int32([2, 5]), strict=True)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_endings_a_mark_of_byte_order_and_blank_lines_at_the_end(end):
    got = read_csv(given_text(f"\ufeffx,y{end}1,2{end}3,4{end}{end}{end}"))
    np.testing.assert_array_equal(got["x"], np.int32([1, 3]), strict=True)


def test_quoted_names_and_numbers():
    got = read_csv(given_text('"a, b"," c\nd "\n"1","2"\n'))
    assert {name: values.tolist() for name, values in got.items()} == {"a, b": [1], "c d": [2]}


def test_not_a_number_and_infinity_pass():
    got = read_csv(given_text("x\nnan\ninf\n-Infinity\n"))
    np.testing.assert_array_equal(got["x"], np.float32([np.nan, np.inf, -np.inf]), strict=True)


def test_a_column_of_large_integers_keeps_them():
    got = read_csv(given_text("id,wide\n3000000000,1\n1,100000000000000000000\n"))
    np.testing.assert_array_equal(got["id"], np.array([3_000_000_000, 1]), strict=True)
    np.testing.assert_array_equal(got["wide"], np.float32([1, 1e20]), strict=True)


def test_more_rows_than_are_read_at_once(monkeypatch):
    monkeypatch.setattr("amortis.data.comma_separated._ROWS_AT_ONCE", 3)
    path = given_text("n,x\n" + "".join(f"{i},{i + (i == 7) / 2}\n" for i in range(10)))
    got = read_csv(path)
    np.testing.assert_array_equal(got["n"], np.arange(10, dtype=np.int32), strict=True)
    expected = np.arange(10, dtype=np.float32)
    expected[7] += 0.5
    np.testing.assert_array_equal(got["x"], expected, strict=True)


def test_an_error_after_the_first_block_names_its_line(monkeypatch, message):
    monkeypatch.setattr("amortis.data.comma_separated._ROWS_AT_ONCE", 3)
    path = given_text("x\n" + "1\n" * 7 + "one\n")
    assert message(DataError, read_csv, path).startswith("'t.csv', line 9, column 'x': got 'one'")


def test_only_the_columns_asked_for_are_read():
    path = given_text("name,x.0,x.1,gap\nabc,1,2,\n,3,4,5\n")
    assert csv_names(path) == ["name", "x", "gap"]
    got = read_csv(path, ["x"])
    assert list(got) == ["x"]
    np.testing.assert_array_equal(got["x"], np.int32([[1, 2], [3, 4]]), strict=True)
    assert read_csv(path, []) == {}


def test_a_column_without_a_name_is_numbered():
    got = read_csv(given_text(",x,\n0,1.5,7\n"))
    assert list(got) == ["column 1", "x", "column 3"]


def test_missing_file(message):
    got = message(MissingFileError, read_csv, "t.csv")
    assert got == "there is no file 't.csv'; check the path"


EMPTY = "'t.csv' is empty, expected a line of column names and rows of numbers"
NO_ROWS = "'t.csv' has a header and no rows, expected one line per row; add them"
NO_HEADER = (
    "'t.csv', line 1: got numbers ('1.5'), expected column names; "
    "add a first line that names the columns, for example x.0,x.1,y"
)
FEW = "'t.csv', line 3: got 1 cells, expected 2 as in the header; correct the line"
MANY = "'t.csv', line 2: got 3 cells, expected 2 as in the header; correct the line"
TAB = (
    "'t.csv', line 1: the names are separated by '\\t', expected commas; "
    "save the file with commas, and with points in decimal numbers"
)
NO_CELL = (
    "'t.csv', line 3, column 'y': the cell is empty, expected a number; "
    "fill it in, or remove the line"
)
REMEDY = "expected a number; correct it, or encode the column as numbers"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", EMPTY),
        ("\n\n", EMPTY),
        ("x,y\n", NO_ROWS),
        ("x,y", NO_ROWS),
        ("1.5,2\n3,4\n", NO_HEADER),
        ("x,y\n1,2\n3\n", FEW),
        ("x,y\n1,2,3\n", MANY),
        ("x\ty\n1\t2\n", TAB),
        ("x;y\n1,5;2\n", TAB.replace("\\t", ";")),
        ("x,y\n1,2\n1,\n", NO_CELL),
        ("x,y\n1,2\n1,  \n", NO_CELL),
        ("x,y\n1,2\n\n3,4\n", "'t.csv', line 3: the line is blank; remove it"),
        ("\nx,y\n1,2\n", "'t.csv', line 1: the line is blank; remove it"),
        ("x,y\n1,2\n1,NA\n", f"'t.csv', line 3, column 'y': got 'NA', {REMEDY}"),
        ("x,y\n1,1_000\n", f"'t.csv', line 2, column 'y': got '1_000', {REMEDY}"),
        ("x,y\n1,True\n", f"'t.csv', line 2, column 'y': got 'True', {REMEDY}"),
        ('x,y\n1,"two\nlines"\n', f"'t.csv', line 3, column 'y': got 'two\\nlines', {REMEDY}"),
        (f"x,y\n1,{'z' * 99}\n", f"'t.csv', line 2, column 'y': got '{'z' * 40}...', {REMEDY}"),
        ("x.0,x.0\n1,2\n", "'t.csv' has two columns named 'x.0'; rename one of them"),
        (
            'x,y\n1,2\n"3"4,5\n',
            "'t.csv', line 3: not comma-separated text (',' expected after '\"'); "
            "check its quotation marks",
        ),
    ],
)
def test_bad_text(text, expected, message):
    assert message(DataError, read_csv, given_text(text)) == expected


@pytest.mark.parametrize("text", ["", "1.5,2\n3,4\n", "x\ty\n1\t2\n", "x,x\n1,2\n"])
def test_a_bad_header_is_found_when_only_names_are_read(text, message):
    path = given_text(text)
    assert message(DataError, csv_names, path) == message(DataError, read_csv, path)


def test_bytes_that_are_not_utf8(message):
    Path("t.csv").write_bytes("x,y\n1,\xe9\n".encode("latin-1"))
    got = message(DataError, read_csv, "t.csv")
    assert got == ("'t.csv' is not text in UTF-8; check that it is a CSV file, or save it as UTF-8")


@given(
    arrays.arrays(
        np.float32, arrays.array_shapes(min_dims=2, max_dims=2), elements=ONE_FLOAT_COLUMN
    )
)
def test_reals_come_back_exactly(values):
    got = round_trip(
        {f"c{j}": [repr(float(v)) for v in column] for j, column in enumerate(values.T)}
    )
    # One real number makes a column real; "nan" and "0.0" are not whole numbers.
    for column, name in zip(values.T, got, strict=True):
        np.testing.assert_array_equal(got[name], column, strict=True)
        zero = column == 0  # equality sees neither the sign of zero nor, rightly, that of nan
        np.testing.assert_array_equal(np.signbit(got[name][zero]), np.signbit(column[zero]))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_whole_numbers_come_back_exactly_in_32_bits_where_these_suffice(values):
    got = round_trip({"n": [str(value) for value in values]})["n"]
    assert got.tolist() == values
    small = all(-(2**31) <= value < 2**31 for value in values)
    assert got.dtype == (np.int32 if small else np.int64)
