import gzip
from pathlib import Path

import numpy as np
import pytest

import amortis.data
from amortis._errors import DataError, MissingColumnError, MissingFileError
from amortis.data import UNNAMED, array_names, read_arguments, read_arrays

pytestmark = pytest.mark.usefixtures("here")

CSV = b"x,y\n1,2\n"
IDX = b"\0\0\x08\x01\0\0\0\x03abc"


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.v2.csv", "t.csv.gz"])
def test_comma_separated(name):
    Path(name).write_bytes(gzip.compress(CSV) if name.endswith("gz") else CSV)
    assert array_names(name) == ["x", "y"]
    assert {key: value.tolist() for key, value in read_arrays(name).items()} == {"x": [1], "y": [2]}
    assert list(read_arrays(Path(name), ["y"])) == ["y"]


def test_parquet():
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table({"x": [1], "y": [2]}), "t.parquet")
    assert array_names("t.parquet") == ["x", "y"]
    assert read_arrays("t.parquet")["x"].tolist() == [1]
    assert list(read_arrays("t.parquet", ["y"])) == ["y"]


def test_archive():
    np.savez("a.npz", x=np.ones(2), y=np.zeros(2))
    assert array_names("a.npz") == ["x", "y"]
    np.testing.assert_array_equal(read_arrays("a.npz")["x"], np.ones(2), strict=True)
    assert list(read_arrays("a.npz", ["y"])) == ["y"]


@pytest.mark.parametrize(
    "name",
    [
        "a.idx",
        "a.idx.gz",
        "t10k-images-idx3-ubyte",
        "t10k-images-idx3-ubyte.gz",
        "t10k-images.idx3-ubyte",
        "labels.IDX1-UBYTE.GZ",
        "weights-idx2-float",
    ],
)
def test_idx(name):
    Path(name).write_bytes(gzip.compress(IDX) if name.lower().endswith("gz") else IDX)
    assert array_names(name) == [UNNAMED]
    assert list(read_arrays(name)) == [UNNAMED]
    assert read_arrays(name)[UNNAMED].tolist() == list(b"abc")


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.csv.zip", "csv", "a.idx3", "t.csv.bak", "aidx"])
@pytest.mark.parametrize("function", [read_arrays, array_names])
def test_other_names(message, function, name):
    Path(name).write_bytes(CSV)
    assert message(DataError, function, name) == (
        f"'{name}' ends like no format read here, expected .csv, .csv.gz, .parquet, .npz, .json, "
        ".idx, -idx3-ubyte or -idx1-ubyte (also .gz); convert it, for example to CSV"
    )


@pytest.mark.parametrize("name", ["t.csv", "t.npz", "t.idx"])
def test_missing_file(message, name):
    expected = f"there is no file '{name}'; check the path"
    assert message(MissingFileError, read_arrays, name) == expected
    assert message(MissingFileError, read_arguments, lambda x: None, name) == expected


def test_arguments_from_a_table_with_columns_that_do_not_matter():
    Path("t.csv").write_text("county,x.0,x.1,sd,note\nAITKIN,1,2,0.5,\nANOKA,3,4,1.5,?\n")
    matched, unused = read_arguments(lambda x, sd, scale=1.0: None, "t.csv")
    assert list(matched) == ["x", "sd"]
    np.testing.assert_array_equal(matched["x"], np.int32([[1, 2], [3, 4]]), strict=True)
    np.testing.assert_array_equal(matched["sd"], np.float32([0.5, 1.5]), strict=True)
    assert unused == ("county", "note")


def test_an_argument_whose_column_is_text(message):
    Path("t.csv").write_text("county,x\nAITKIN,1\n")
    assert message(DataError, read_arguments, lambda county, x: None, "t.csv") == (
        "'t.csv', line 2, column 'county': got 'AITKIN', expected a number; "
        "correct it, or encode the column as numbers"
    )


def test_an_argument_whose_numbers_are_too_large(message):
    Path("t.csv").write_text("id\n3000000000\n")
    assert message(DataError, read_arguments, lambda id: None, "t.csv") == (
        "'t.csv', argument 'id': got int64 values beyond the range of int32, in which JAX holds "
        "them; shift or rescale them, or set JAX_ENABLE_X64=1"
    )
    assert read_arguments(lambda x=0: None, "t.csv") == ({}, ("id",))


def test_an_argument_without_a_column_is_found_before_cells_are_read(message):
    Path("t.csv").write_text("county,sdev\nAITKIN,not yet\n")
    assert message(MissingColumnError, read_arguments, lambda sd: None, "t.csv") == (
        "'t.csv' has no column 'sd' for that argument of <lambda>(), it has 'county', 'sdev'; "
        "did you mean 'sdev'?"
    )


def test_arguments_from_an_array_without_a_name():
    Path("a.idx").write_bytes(IDX)
    matched, unused = read_arguments(lambda images, latents=8: None, "a.idx")
    np.testing.assert_array_equal(matched["images"], np.frombuffer(b"abc", np.uint8), strict=True)
    assert unused == ()


def test_every_name_the_room_offers_exists():
    assert [name for name in amortis.data.__all__ if not hasattr(amortis.data, name)] == []
