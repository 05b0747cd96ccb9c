"""The image sets of machine learning that are published in IDX form: MNIST and FashionMNIST."""

import dataclasses
import enum
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from amortis._errors import DataError, MissingFileError, UnequalLengthsError
from amortis.data.download import DownloadProgress, PublishedFile, cache_folder, fetch
from amortis.data.files import FilePath
from amortis.data.idx import read_idx

DATA_VARIABLE = "AMORTIS_DATA"
"""Environment variable that names a folder of data files."""


class Part(enum.Enum):
    """Which part of a set, by how its files are named."""

    TRAIN = "train"
    TEST = "t10k"


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """An image set and where it is published.

    Attributes:
        title: its name.
        folders: names of folders that it may lie in, below a folder of data.
        mirrors: addresses that have its files.
        checksums: MD5 checksum of each file by its name.
    """

    title: str
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    checksums: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images with their classes.

    Attributes:
        pixels: from black (0) to white (255), shape (N, height, width).
        labels: classes from 0, shape (N,).
        origin: the folder they were read from.
    """

    pixels: UInt8[np.ndarray, "n height width"]
    labels: UInt8[np.ndarray, " n"]
    origin: Path


def _names(part: Part) -> tuple[str, str]:
    return f"{part.value}-images-idx3-ubyte.gz", f"{part.value}-labels-idx1-ubyte.gz"


_ALL = (*_names(Part.TRAIN), *_names(Part.TEST))

FASHION_MNIST = ImageSource(
    title="FashionMNIST",
    folders=("fashion_mnist", "FashionMNIST/raw", "fashion_mnist_2000"),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    ),
    checksums=dict(
        zip(
            _ALL,
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
            strict=True,
        )
    ),
)
"""Xiao, Rasul & Vollgraf, *Fashion-MNIST* (2017): 60 000 + 10 000 articles of clothing."""

MNIST = ImageSource(
    title="MNIST",
    folders=("mnist", "MNIST/raw"),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
    checksums=dict(
        zip(
            _ALL,
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
            strict=True,
        )
    ),
)
"""LeCun, Cortes & Burges, *The MNIST database of handwritten digits* (1998): 60 000 + 10 000."""


def load_images(
    source: ImageSource,
    part: Part,
    *,
    at_least: int = 1,
    folder: FilePath | None = None,
    cache: FilePath | None = None,
    mirrors: Sequence[str] | None = None,
    download: bool = True,
    progress: DownloadProgress | None = None,
) -> LabelledImages:
    """Read a part of an image set from a folder, or fetch the published files once.

    Looked for in `folder`; without it below the folder that `AMORTIS_DATA` names, then in the
    cache, whose files are compared with the published checksums where they may be fetched again,
    then on the mirrors. Files in a folder of the user's own are read as they are, so that they may
    be a selection.

    Args:
        source: `FASHION_MNIST` or `MNIST`.
        part: training or test images.
        at_least: below the folder in `AMORTIS_DATA`, selections of fewer images are passed over.
        folder: where the files are, plain or gzipped; nothing is fetched then.
        cache: where fetched files are kept; `cache_folder()` by default.
        mirrors: addresses to fetch from in place of the source's own.
        download: whether to fetch at all.
        progress: called as bytes come in.

    Returns:
        The images and their labels, in the order of the files.

    Raises:
        MissingFileError: no such folder or files, and nothing may be fetched.
        ChecksumError: what the mirrors have is not what was published.
        DownloadError: nothing could be fetched.
        DataError: a file is cut short, is not IDX, or holds something else.
        ArgumentError: the cache cannot be written.
    """
    for paths in _local(source, part, folder):
        found = _read(*paths)
        if folder is not None or len(found.pixels) >= at_least:
            return found
    kept = (cache_folder() if cache is None else Path(cache)) / source.folders[0]
    files = [PublishedFile(name, source.checksums[name]) for name in _names(part)]
    if not download:
        if all((kept / file.name).is_file() for file in files):
            return _read(*(kept / file.name for file in files))
        raise MissingFileError(
            f"no {_names(part)[0]} with {at_least} or more images of {source.title} below the "
            f"folder in {DATA_VARIABLE} ({os.environ.get(DATA_VARIABLE, 'not set')}); expected it "
            f"in one of {', '.join(source.folders)}: pass folder=, or allow download"
        )
    places = source.mirrors if mirrors is None else mirrors
    return _read(*(fetch(file, kept, places, progress=progress) for file in files))


def _local(source: ImageSource, part: Part, folder: FilePath | None) -> Iterator[tuple[Path, Path]]:
    """The pairs of files below a given folder, or below that of the environment.

    Raises:
        MissingFileError: a folder that is named is not there, or has no such files.
    """
    named = os.environ.get(DATA_VARIABLE) if folder is None else folder
    if not named:
        return
    root = Path(named)
    if not root.is_dir():
        origin = f"{DATA_VARIABLE} names" if folder is None else "folder is"
        raise MissingFileError(
            f"{origin} '{root}', where there is no folder; expected one with the files of "
            f"{source.title}: check the path"
        )
    own = [] if folder is None else [root]
    for place in [*own, *(root / name for name in source.folders)]:
        images, labels = (_either(place / name) for name in _names(part))
        if images is not None and labels is not None:
            yield images, labels
    if folder is not None:
        raise MissingFileError(
            f"'{root}' has no {' and '.join(_names(part))}; expected both files of "
            f"{source.title}, with or without .gz, there or in {source.folders[0]}: put them "
            f"there, or leave folder out"
        )


def _either(path: Path) -> Path | None:
    return next((p for p in (path, path.with_suffix("")) if p.is_file()), None)


def _read(images: Path, labels: Path) -> LabelledImages:
    pixels, classes = read_idx(images), read_idx(labels)
    for path, array, axes, what in (
        (images, pixels, 3, "images (number, height, width)"),
        (labels, classes, 1, "labels (number)"),
    ):
        if array.ndim != axes or array.dtype != np.uint8:
            other = "images" if array.ndim == 3 else "labels" if array.ndim == 1 else "other data"
            raise DataError(
                f"'{path}' holds {array.dtype} of shape {array.shape}, which looks like {other}; "
                f"expected bytes of {what}: check which file has which name"
            )
    if len(pixels) != len(classes):
        raise UnequalLengthsError(
            f"'{images}' has {len(pixels)} images and '{labels}' {len(classes)} labels; expected "
            f"as many: take both files from one place"
        )
    return LabelledImages(
        np.asarray(pixels, np.uint8), np.asarray(classes, np.uint8), images.parent
    )
