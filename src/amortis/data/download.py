"""Fetching published files: checked by their checksum, kept in a folder, whole or not at all."""

import dataclasses
import functools
import hashlib
import http.client
import itertools
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from amortis._errors import ArgumentError, ChecksumError, DownloadError
from amortis.data.atomic_write import replacing

DownloadProgress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that have come and, where known, the bytes of all of it."""

_CHUNK = 1 << 16
_BUSY = (408, 429)
"""Answers of a server that asks to come back: a timeout, too many requests."""

_PAUSE = 0.5


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file that others publish.

    Attributes:
        name: its name, which mirrors have in common.
        md5: MD5 checksum of its bytes, in hexadecimal digits; it tells damage, not malice.
    """

    name: str
    md5: str


class _Failure(Exception):
    """One attempt that failed, and whether another one may succeed."""

    def __init__(self, reason: str, passing: bool) -> None:
        super().__init__(reason)
        self.passing = passing


def cache_folder() -> Path:
    """Where fetched files are kept: `AMORTIS_CACHE`, or the user's cache folder of the system."""
    chosen = os.environ.get("AMORTIS_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "amortis"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "amortis"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amortis"


def fetch(
    file: PublishedFile,
    folder: Path,
    mirrors: Sequence[str],
    *,
    timeout: float = 30.0,
    attempts: int = 3,
    progress: DownloadProgress | None = None,
) -> Path:
    """Have a published file in a folder, downloaded if it is not there or not whole.

    Mirrors are tried in turn; what may pass (a timeout, a broken connection, an overloaded server)
    is tried again after a pause. The file takes its name only when its checksum is right.

    Args:
        file: what to fetch.
        folder: where to keep it; made if it is not there.
        mirrors: addresses of folders that have it, `https://` or `http://`.
        timeout: seconds to wait for an answer.
        attempts: most attempts per mirror, at least one.
        progress: called as bytes come in.

    Returns:
        Where the file is.

    Raises:
        ArgumentError: no mirrors, the folder cannot be written, or a file in it not be read.
        ChecksumError: every mirror has other bytes.
        DownloadError: some mirror could not be reached or does not have the file, and the others,
            if any, have other bytes.
    """
    if not mirrors:
        raise ArgumentError("mirrors is empty; expected at least one address: leave it out")
    target = _folder(folder) / file.name
    if target.is_file() and _md5(target) == file.md5:
        return target
    reasons: list[str] = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{file.name}"
        once = functools.partial(_download, url, file, target, timeout, progress)
        failed = _tried(attempts, once)
        if failed is None:
            return target
        reasons.append(f"{url} {failed}")
    damaged = all("checksum" in reason for reason in reasons)
    remedy = f"try again later, pass other mirrors=, or put the file into '{target.parent}'"
    raise (ChecksumError if damaged else DownloadError)(
        f"'{file.name}' could not be fetched: {'; '.join(reasons)}; {remedy}"
    )


def _tried(attempts: int, download: Callable[[], None]) -> _Failure | None:
    """Try again while it may pass; None, or the last failure."""
    for attempt in itertools.count(1):
        try:
            download()
        except _Failure as failure:
            if attempt >= attempts or not failure.passing:
                return failure
            time.sleep(_PAUSE * 2 ** (attempt - 1))
        else:
            break
    return None


def _download(
    url: str, file: PublishedFile, target: Path, timeout: float, progress: DownloadProgress | None
) -> None:
    """One attempt.

    Raises:
        _Failure: the bytes did not come, or are others.
        ArgumentError: they cannot be written.
    """
    if not url.startswith(("https://", "http://")):
        raise ArgumentError(f"the mirror of '{url}' is no web address; expected https://…")
    digest, done = hashlib.md5(usedforsecurity=False), 0
    answer = _opened(url, timeout)
    with answer, replacing(target) as stream:
        length = answer.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        while chunk := _chunk(answer):
            digest.update(chunk)
            stream.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(file.name, done, total)
        if total is not None and done < total:
            raise _Failure(f"broke off after {done} of {total} bytes", True)
        if digest.hexdigest() != file.md5:
            got = f"sent {done} bytes with MD5 checksum {digest.hexdigest()}"
            raise _Failure(f"{got}, expected {file.md5}", False)


def _opened(url: str, timeout: float) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "amortis"})
    try:
        return urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        raise _Failure(
            f"answered {error.code} {error.reason}", error.code >= 500 or error.code in _BUSY
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failure(error) from error


def _chunk(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_CHUNK)
    except http.client.IncompleteRead as error:
        raise _Failure(f"broke off after {len(error.partial)} bytes of a part", True) from error
    except (OSError, http.client.HTTPException) as error:
        raise _failure(error) from error


def _failure(error: Exception) -> _Failure:
    """What went wrong on the way, in words; refusals and unknown names do not pass by waiting."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.gaierror):
        return _Failure("cannot be looked up (is there a network?)", False)
    if isinstance(cause, ConnectionRefusedError):
        return _Failure("refused the connection (is there a network?)", False)
    if isinstance(cause, TimeoutError):
        return _Failure("did not answer in time", True)
    words = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return _Failure(f"cannot be read: {words}", isinstance(cause, OSError))


def _folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(
            f"'{folder}' cannot be made: {error.strerror or error}; expected a folder to keep "
            f"fetched files in: choose another one, or set AMORTIS_CACHE"
        ) from error
    return folder


def _md5(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            made = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    except OSError as error:
        raise ArgumentError(
            f"'{path}' cannot be read: {error.strerror or error}; expected a file that was fetched "
            f"before: make it readable, or remove it"
        ) from error
    return made.hexdigest()
