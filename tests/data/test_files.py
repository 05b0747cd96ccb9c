import gzip
from pathlib import Path

import pytest

from amortis._errors import DataError, MissingFileError
from amortis.data.files import existing_file, open_decompressed

WORDS = b"some words, " * 100


def read(path: str | Path) -> bytes:
    with open_decompressed(path) as stream:
        return stream.read()


def test_a_file_is_found(here):
    (here / "a.csv").write_bytes(b"")
    assert existing_file("a.csv") == Path("a.csv")


def test_missing_file_without_a_near_name(here, message):
    got = message(MissingFileError, existing_file, "data.csv")
    assert got == "there is no file 'data.csv'; check the path"


def test_missing_file_with_a_near_name(here, message):
    (here / "date.csv").write_bytes(b"")
    got = message(MissingFileError, existing_file, "data.csv")
    assert got == "there is no file 'data.csv'; did you mean 'date.csv'?"


def test_missing_folder(here, message):
    got = message(MissingFileError, existing_file, Path("inner/data.csv"))
    assert got == "there is no file 'inner/data.csv', nor a folder 'inner'; check the path"


def test_a_folder_is_not_a_file(here, message):
    (here / "data.csv").mkdir()
    got = message(MissingFileError, existing_file, "data.csv")
    assert got == "'data.csv' is a folder, expected a data file; name a file inside it"


@pytest.mark.parametrize("name", ["plain", "plain.gz"])
def test_plain_bytes_whatever_the_name(here, name):
    (here / name).write_bytes(WORDS)
    assert read(name) == WORDS


@pytest.mark.parametrize("name", ["packed", "packed.gz"])
def test_gzip_whatever_the_name(here, name):
    (here / name).write_bytes(gzip.compress(WORDS))
    assert read(name) == WORDS


def cut(packed: bytes) -> bytes:
    return packed[:-9]


def wrong_checksum(packed: bytes) -> bytes:
    return packed[:-8] + b"\0\0\0\0" + packed[-4:]


def wrong_body(packed: bytes) -> bytes:
    return packed[:10] + b"\xff" * (len(packed) - 10)


@pytest.mark.parametrize("damage", [cut, wrong_checksum, wrong_body])
def test_damaged_gzip(here, message, damage):
    (here / "d.gz").write_bytes(damage(gzip.compress(WORDS)))
    got = message(DataError, read, "d.gz")
    assert got == "'d.gz' is cut short or damaged, expected a whole gzip file; fetch it again"


def test_a_file_that_cannot_be_opened(here, message, monkeypatch):
    (here / "d.csv").write_bytes(b"")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert message(DataError, read, "d.csv") == "'d.csv' cannot be read: Permission denied"
