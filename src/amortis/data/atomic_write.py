"""Writing a file whole or not at all."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from amortis._errors import ArgumentError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Generator[BinaryIO, None, None]:
    """Open a file for writing bytes that takes its name only when all of it is written.

    The bytes go to a file beside it, which replaces `path` at the end and is removed if the block
    raises, so that a reader never finds half a file and an old one survives a failure.

    Args:
        path: where the file is to be; its folder must exist.

    Yields:
        The stream to write to.

    Raises:
        ArgumentError: the file cannot be written there.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        stream = partial.open("wb")
        try:
            with stream:
                yield stream
            os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ArgumentError(
            f"'{target}' cannot be written: {error.strerror or error}; choose another folder, or "
            f"make room"
        ) from error
