import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from amortis._errors import DataError, MissingFileError
from amortis.data.archives import npz_names, read_npz

pytestmark = pytest.mark.usefixtures("here")

DAMAGED = "'a.npz', array 'x': its bytes are damaged; write or fetch the file again"
NUMBERS = arrays.arrays(
    arrays.boolean_dtypes()
    | arrays.integer_dtypes(endianness="?")
    | arrays.unsigned_integer_dtypes(endianness="?")
    | arrays.floating_dtypes(endianness="?"),
    arrays.array_shapes(min_dims=0, min_side=0, max_side=4),
)
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@given(st.dictionaries(NAMES, NUMBERS, max_size=4), st.booleans())
def test_arrays_come_back_bit_for_bit(stored, compressed):
    save = np.savez_compressed if compressed else np.savez
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        stored.pop("file", None)  # numpy's own name for the path
        save(path, **stored)
        assert npz_names(path) == list(stored)
        got = read_npz(path)
    assert list(got) == list(stored)
    for name, values in stored.items():
        assert got[name].dtype.isnative
        np.testing.assert_array_equal(got[name], values)
        assert got[name].dtype.newbyteorder("=") == values.dtype.newbyteorder("=")


def test_only_the_arrays_asked_for_are_read():
    np.savez("a.npz", x=np.arange(3), words=np.array([[1], "a"], dtype=object))
    assert npz_names("a.npz") == ["x", "words"]
    got = read_npz("a.npz", ["x"])
    assert list(got) == ["x"]
    np.testing.assert_array_equal(got["x"], np.arange(3), strict=True)


@pytest.mark.parametrize("dtype", [object, [("a", object)]])
def test_python_objects(message, dtype):
    np.savez("a.npz", x=np.zeros(2, dtype))
    got = message(DataError, read_npz, "a.npz")
    assert got == (
        "'a.npz', array 'x': it holds Python objects, expected numbers; convert it to a numeric "
        "type before saving (rows of unequal lengths make no array)"
    )


def test_version_3_of_the_format():
    values = np.zeros(2, [("愛", np.int32)])
    with pytest.warns(UserWarning, match="format 3.0"):
        np.savez("a.npz", x=values)
    np.testing.assert_array_equal(read_npz("a.npz")["x"], values, strict=True)


@pytest.mark.parametrize("read", [read_npz, npz_names])
@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"PK\x03\x04 cut short"])
def test_other_files(message, read, content):
    Path("a.npz").write_bytes(content)
    got = message(DataError, read, "a.npz")
    assert got == "'a.npz' is not an NPZ archive, or is damaged; write it with numpy.savez"


def test_a_bare_array_under_the_name_of_an_archive(message):
    with open("a.npz", "wb") as stream:
        np.save(stream, np.arange(3))
    got = message(DataError, read_npz, "a.npz")
    assert got == "'a.npz' is not an NPZ archive, or is damaged; write it with numpy.savez"


@pytest.mark.parametrize("read", [read_npz, npz_names])
def test_an_archive_of_other_things(message, read):
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("notes.txt", "hello")
    got = message(DataError, read, "a.npz")
    assert got == "'a.npz' holds 'notes.txt', expected arrays only; write it with numpy.savez"


def saved(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"hello there", saved(np.arange(99))[:-5], saved(np.arange(99))[:70]]
)
def test_an_array_whose_bytes_are_cut_short(message, content):
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    assert message(DataError, read_npz, "a.npz") == DAMAGED


@given(st.data())
def test_any_changed_byte_is_an_error_of_ours_or_does_no_harm(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        np.savez_compressed(path, x=np.arange(20.0))
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        try:
            got = read_npz(path)
        except DataError:
            return
    # Dates, flags and the name of the array are not covered by a checksum; its values are.
    for values in got.values():
        np.testing.assert_array_equal(values, np.arange(20.0), strict=True)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_array_whose_bytes_are_changed(message, save):
    save("a.npz", x=np.arange(1000.0))
    content = bytearray(Path("a.npz").read_bytes())
    content[200:260] = bytes(60)
    Path("a.npz").write_bytes(content)
    assert message(DataError, read_npz, "a.npz") == DAMAGED


def test_an_encrypted_array(message):
    np.savez("a.npz", x=np.arange(3))
    content = bytearray(Path("a.npz").read_bytes())
    content[6] |= 1  # the flag in the header of the member
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    Path("a.npz").write_bytes(content)
    assert message(DataError, read_npz, "a.npz") == DAMAGED


@pytest.mark.parametrize("read", [read_npz, npz_names])
def test_missing_file(message, read):
    got = message(MissingFileError, read, "a.npz")
    assert got == "there is no file 'a.npz'; check the path"
