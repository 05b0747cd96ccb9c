"""One file per run, written whole, with a fingerprint of the settings that made it."""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from amortis._errors import ArgumentError
from amortis.data import replacing
from amortis.experiments.runs.task import RunPath, RunResult

_FORMAT = 1


class RunStore:
    """Results of runs in a folder, found again by name and settings.

    Attributes:
        folder: where the files are; made if it is missing.
        tell: is given a line about every file that is damaged.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self.folder = folder
        self.tell = tell

    def load(self, name: str, settings: Mapping[str, Any]) -> RunResult | None:
        """A run's result, if it is there, undamaged, and of the same settings.

        Args:
            name: of the file, without ending.
            settings: plain data that decide the result.

        Raises:
            ArgumentError: the file cannot be read, for lack of permission.
        """
        path = self._path(name)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ArgumentError(
                f"'{path}' cannot be read: {error.strerror or error}; expected a result of an "
                f"earlier run: make it readable, or name another folder"
            ) from error
        try:
            content = json.loads(text)
            body = content["run"]
            if content["checksum"] != _digest(body):
                raise ValueError("its checksum is another")
            if content["format"] != _FORMAT or content["fingerprint"] != fingerprint(settings):
                return None
            return _result(body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.tell(f"'{path}' is damaged ({_short(error)}); this run is fitted again")
            return None

    def save(self, name: str, settings: Mapping[str, Any], result: RunResult) -> None:
        """Write a run's result, whole or not at all.

        Args:
            name: of the file, without ending.
            settings: plain data that decide the result; stored beside it.
            result: what to keep.

        Raises:
            ArgumentError: it cannot be written.
        """
        body = _plain(dataclasses.asdict(result))
        content = {
            "format": _FORMAT,
            "fingerprint": fingerprint(settings),
            "checksum": _digest(body),
            "settings": settings,
            "run": body,
        }
        path = self._path(name)
        try:
            os.makedirs(path.parent, exist_ok=True)
        except OSError as error:
            raise ArgumentError(
                f"'{path.parent}' cannot be made: {error.strerror or error}; name a folder that "
                f"can be written"
            ) from error
        with replacing(path) as stream:
            stream.write((json.dumps(content, allow_nan=False) + "\n").encode())

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def fingerprint(settings: Mapping[str, Any]) -> str:
    """A digest of plain data, the same in every process."""
    return _digest(settings)


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Plain data for JSON, which has no NaN and no infinity: these become text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _result(body: Mapping[str, Any]) -> RunResult:
    path = body["path"]
    return RunResult(
        status=str(body["status"]),
        loss=float(body["loss"]),
        seconds=float(body["seconds"]),
        path=RunPath(
            iterations=tuple(int(i) for i in path["iterations"]),
            seconds=tuple(float(s) for s in path["seconds"]),
            losses=tuple(float(value) for value in path["losses"]),
        ),
        values={key: float(value) for key, value in body["values"].items()},
    )


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:80]
