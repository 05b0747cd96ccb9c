import gzip
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from amortis._errors import DataError, MissingFileError
from amortis.data.idx import read_idx

pytestmark = pytest.mark.usefixtures("here")

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
SMALL = b"\0\0\x08\x02" + struct.pack(">II", 2, 3) + bytes(range(6))


def encoded(values: np.ndarray) -> bytes:
    head = bytes([0, 0, CODES[values.dtype.str[1:]], values.ndim])
    lengths = b"".join(struct.pack(">I", n) for n in values.shape)
    return head + lengths + values.astype(values.dtype.newbyteorder(">")).tobytes()


@given(
    arrays.arrays(
        st.sampled_from(sorted(CODES)).map(np.dtype),
        arrays.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4),
    ),
    st.booleans(),
)
def test_arrays_come_back_bit_for_bit(values, packed):
    content = encoded(values)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.idx"
        path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
        got = read_idx(path)
    np.testing.assert_array_equal(got, values, strict=True)
    assert got.dtype.isnative
    assert got.flags.writeable


def test_known_bytes():
    Path("a.idx").write_bytes(SMALL)
    np.testing.assert_array_equal(read_idx("a.idx"), np.uint8([[0, 1, 2], [3, 4, 5]]), strict=True)


@pytest.mark.parametrize("magic", ["01 00 08 01", "00 01 08 01", "00 00 0a 01", "00 00 08 00"])
def test_other_files(message, magic):
    Path("a.idx").write_bytes(bytes.fromhex(magic) + bytes(8))
    assert message(DataError, read_idx, "a.idx") == (
        f"'a.idx' starts with the bytes {magic}, expected an IDX file: 00 00, a type among "
        "08, 09, 0b, 0c, 0d, 0e, and at least one axis; check that it is the right file"
    )


@pytest.mark.parametrize(
    ("length", "part", "expected"),
    [
        (0, "header", 4),
        (3, "header", 4),
        (4, "header", 12),
        (11, "header", 12),
        (12, "values of shape (2, 3)", 6),
        (17, "values of shape (2, 3)", 6),
    ],
)
def test_files_that_are_cut_short(message, length, part, expected):
    Path("a.idx").write_bytes(SMALL[:length])
    got = length - 12 if part != "header" else length
    assert message(DataError, read_idx, "a.idx") == (
        f"'a.idx' is cut short: its {part} has {got} bytes, expected {expected}; fetch it again"
    )


def test_every_cut_is_noticed(message):
    for length in range(len(SMALL)):
        Path("a.idx").write_bytes(SMALL[:length])
        assert "is cut short" in message(DataError, read_idx, "a.idx")


def test_too_many_bytes(message):
    Path("a.idx").write_bytes(SMALL + b"\0")
    assert message(DataError, read_idx, "a.idx") == (
        "'a.idx' has 7 bytes of values, expected 6 for shape (2, 3); "
        "its header does not belong to its values: fetch or write it again"
    )


def test_lengths_beyond_any_memory(message):
    Path("a.idx").write_bytes(b"\0\0\x0e\x04" + b"\xff" * 16)
    assert "is cut short: its values of shape" in message(DataError, read_idx, "a.idx")


def test_missing_file(message):
    got = message(MissingFileError, read_idx, "a.idx")
    assert got == "there is no file 'a.idx'; check the path"
