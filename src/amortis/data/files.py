"""Opening a file that a user named, compressed or not."""

import gzip
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import BinaryIO, cast

from amortis._errors import DataError, MissingFileError

FilePath = str | PathLike[str]
"""Where a file is."""

_GZIP_MAGIC = b"\x1f\x8b"


def existing_file(path: FilePath) -> Path:
    """Return `path` as a `Path` once it is known to name a file.

    Args:
        path: Where the file is.

    Returns:
        The same location.

    Raises:
        MissingFileError: Nothing is there, or a folder is.
    """
    found = Path(path)
    if found.is_file():
        return found
    if found.is_dir():
        raise MissingFileError(f"'{path}' is a folder, expected a data file; name a file inside it")
    if not found.parent.is_dir():
        raise MissingFileError(
            f"there is no file '{path}', nor a folder '{found.parent}'; check the path"
        )
    near = get_close_matches(found.name, [entry.name for entry in found.parent.iterdir()], n=1)
    hint = f"did you mean '{found.parent / near[0]}'?" if near else "check the path"
    raise MissingFileError(f"there is no file '{path}'; {hint}")


@contextmanager
def open_decompressed(path: FilePath) -> Generator[BinaryIO, None, None]:
    """Open a file for reading bytes, through gzip when its first two bytes say so.

    The content decides and not the suffix, because mirrors unpack files without renaming them.

    Args:
        path: Where the file is.

    Yields:
        The decompressed bytes as a stream.

    Raises:
        MissingFileError: Nothing is there.
        DataError: The file cannot be opened, or its compressed data are damaged.
    """
    found = existing_file(path)
    try:
        with found.open("rb") as raw:
            if raw.peek(2)[:2] == _GZIP_MAGIC:
                with gzip.open(raw) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"'{path}' is cut short or damaged, expected a whole gzip file; fetch it again"
        ) from error
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
