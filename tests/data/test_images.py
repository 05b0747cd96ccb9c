import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest

from amortis._errors import (
    ArgumentError,
    ChecksumError,
    DataError,
    DownloadError,
    MissingFileError,
    UnequalLengthsError,
)
from amortis.data import FASHION_MNIST, MNIST, ImageSource, Part, download, load_images
from amortis.data.download import cache_folder
from tests.data.image_server import Answers, idx, serving, small_set, source

pytestmark = pytest.mark.usefixtures("alone")

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
FILES = small_set()
SHORT = b"\0\0\x08\x03" + struct.pack(">3I", 5, 4, 3) + bytes(7)


@pytest.fixture
def alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data, no cache and no proxy of the user's, and no waiting between attempts."""
    for name in ("AMORTIS_DATA", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AMORTIS_CACHE", "cache")
    monkeypatch.setattr(download, "_PAUSE", 0.0)


@pytest.fixture
def server():
    with serving(dict(FILES)) as answers:
        yield answers


def fetched(answers: Answers, files: dict[str, bytes] = FILES, **kwargs):
    return load_images(source(files, answers.url), Part.TRAIN, **kwargs)


def put(folder: str, files: dict[str, bytes]) -> None:
    os.makedirs(folder, exist_ok=True)
    for name, content in files.items():
        (Path(folder) / name).write_bytes(content)


def test_fetched_once_then_read_from_the_cache(server):
    seen: list[tuple[str, int, int | None]] = []
    first = fetched(server, progress=lambda *step: seen.append(step))
    pixels = np.random.default_rng(5).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    np.testing.assert_array_equal(first.pixels, pixels, strict=True)
    np.testing.assert_array_equal(first.labels, np.arange(5, dtype=np.uint8), strict=True)
    assert first.origin == Path("cache/tiny")
    assert seen[-1] == (LABELS, len(FILES[LABELS]), len(FILES[LABELS]))
    again = fetched(server)
    assert server.asked == [IMAGES, LABELS]
    np.testing.assert_array_equal(again.pixels, pixels)
    assert sorted(os.listdir("cache/tiny")) == [IMAGES, LABELS]


def test_damage_in_the_cache_is_fetched_again(server):
    put("cache/tiny", {IMAGES: FILES[IMAGES][:-5], LABELS: FILES[LABELS]})
    assert len(fetched(server).pixels) == 5
    assert server.asked == [IMAGES]


def test_other_bytes_than_published(server, message):
    published = small_set(6)
    got = message(ChecksumError, fetched, server, published)
    assert got.startswith(f"'{IMAGES}' could not be fetched: {server.url}/{IMAGES} sent ")
    assert "with MD5 checksum" in got
    assert server.asked == [IMAGES]  # the same bytes would come again
    assert os.listdir("cache/tiny") == []


def test_the_next_mirror_is_tried(server):
    with serving({}) as empty:
        found = load_images(source(FILES, empty.url, server.url), Part.TRAIN)
    assert len(found.pixels) == 5


def test_not_there(message):
    with serving({}) as empty:
        got = message(DownloadError, fetched, empty)
        assert f"{empty.url}/{IMAGES} answered 404 Not Found; try again later" in got
        assert empty.asked == [IMAGES]


def test_what_breaks_off_or_is_busy_is_tried_again(server):
    server.broken, server.busy = 1, 1
    assert len(fetched(server).pixels) == 5
    assert server.asked == [IMAGES] * 3 + [LABELS]


def test_what_always_breaks_off(server, message):
    server.broken = 3
    size = len(FILES[IMAGES])
    got = message(DownloadError, fetched, server)
    assert f"broke off after {size // 2} of {size} bytes" in got
    assert os.listdir("cache/tiny") == []


def test_no_network(message, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    refused = source(FILES, f"http://127.0.0.1:{port}")
    assert "refused the connection (is there a network?)" in message(
        DownloadError, load_images, refused, Part.TRAIN
    )

    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    nowhere = source(FILES, "http://images.invalid")
    assert "cannot be looked up (is there a network?)" in message(
        DownloadError, load_images, nowhere, Part.TRAIN
    )


def test_a_server_that_never_answers(message):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = download.PublishedFile(IMAGES, "0")
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        def fetch() -> None:
            download.fetch(file, Path("kept"), [url], timeout=0.05, attempts=2)

        assert "did not answer in time" in message(DownloadError, fetch)


def test_no_web_address(message):
    got = message(ArgumentError, load_images, source(FILES, "ftp://a"), Part.TRAIN)
    assert got == f"the mirror of 'ftp://a/{IMAGES}' is no web address; expected https://…"
    assert "mirrors is empty" in message(ArgumentError, load_images, source(FILES), Part.TRAIN)


def test_a_cache_that_cannot_be_made(server, message):
    Path("cache").write_text("a file")
    got = message(ArgumentError, fetched, server)
    assert got.startswith("'cache/tiny' cannot be made: Not a directory")
    assert server.asked == []


def test_a_cache_without_permission(server, message, monkeypatch):
    def denied(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)  # root may write everywhere
    assert message(ArgumentError, fetched, server) == (
        "'cache/tiny' cannot be made: Permission denied; expected a folder to keep fetched files "
        "in: choose another one, or set AMORTIS_CACHE"
    )


def test_a_disk_that_is_full(server, message, monkeypatch):
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in message(ArgumentError, fetched, server)
    assert os.listdir("cache/tiny") == []


def test_a_folder_of_ones_own_is_read_as_it_is(server):
    selection = {name.removesuffix(".gz"): value for name, value in small_set(3).items()}
    put("mine", selection)
    assert len(fetched(server, folder="mine").pixels) == 3
    put("data/tiny", small_set(4))
    assert len(fetched(server, folder="data").pixels) == 4
    assert server.asked == []


def test_below_the_folder_of_the_environment(server, monkeypatch):
    monkeypatch.setenv("AMORTIS_DATA", "data")
    put("data/tiny_selection", small_set(3))
    put("data", small_set(2))  # a folder of many data sets: whose files these are is not known
    assert len(fetched(server).pixels) == 3
    assert len(fetched(server, at_least=4).pixels) == 5
    assert server.asked == [IMAGES, LABELS]


def test_folders_without_images(server, message, monkeypatch):
    assert message(MissingFileError, lambda: fetched(server, folder="nowhere")) == (
        "folder is 'nowhere', where there is no folder; expected one with the files of Tiny: "
        "check the path"
    )
    os.makedirs("bare")
    assert "has no train-images-idx3-ubyte.gz and" in message(
        MissingFileError, lambda: fetched(server, folder="bare")
    )
    assert "pass folder=, or allow download" in message(
        MissingFileError, lambda: fetched(server, download=False)
    )
    monkeypatch.setenv("AMORTIS_DATA", "gone")
    assert message(MissingFileError, fetched, server).startswith("AMORTIS_DATA names 'gone'")


def test_labels_for_images(message):
    put("mine", {IMAGES: FILES[LABELS], LABELS: FILES[IMAGES]})
    assert message(DataError, read, FILES) == (
        f"'mine/{IMAGES}' holds uint8 of shape (5,), which looks like labels; expected bytes of "
        "images (number, height, width): check which file has which name"
    )


def test_as_many_labels_as_images(message):
    put("mine", FILES | {LABELS: idx(np.zeros(4))})
    assert "has 5 images and" in message(UnequalLengthsError, read, FILES)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (FILES[IMAGES][:-20], "is cut short or damaged, expected a whole gzip file"),
        (SHORT, "is cut short: its values of shape (5, 4, 3) has 7 bytes, expected 60"),
        (b"\x89PNG" + bytes(20), "starts with the bytes 89 50 4e 47, expected an IDX file"),
    ],
)
def test_damaged_files(message, content, complaint):
    put("mine", FILES | {IMAGES: content})
    assert complaint in message(DataError, read, FILES)


def read(files: dict[str, bytes]) -> object:
    return load_images(source(files), Part.TRAIN, folder="mine")


@pytest.mark.parametrize("published", [FASHION_MNIST, MNIST])
def test_canonical_files(published: ImageSource):
    assert len(published.checksums) == 4
    assert all(len(bytes.fromhex(digest)) == 16 for digest in published.checksums.values())
    assert {part.value for part in Part} == {name.split("-")[0] for name in published.checksums}


def test_where_the_cache_is(monkeypatch):
    assert cache_folder() == Path("cache")
    monkeypatch.delenv("AMORTIS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == Path("/x/amortis")


def test_what_was_fetched_is_read_without_asking_again(server):
    once = fetched(server)
    asked = list(server.asked)
    again = fetched(server, download=False)
    np.testing.assert_array_equal(again.pixels, once.pixels)
    assert server.asked == asked
