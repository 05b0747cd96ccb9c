"""Finished parts of an experiment on disk, each found again by what decides it."""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

import amortis
from amortis._errors import AmortisError, ArgumentError
from amortis._types import RandomKey
from amortis.data import read_npz, replacing
from amortis.experiments.tasks.data_digest import data_digest


@dataclasses.dataclass(frozen=True)
class Kept:
    """Files in a folder, each written whole or not at all.

    A file's name carries a digest of all that decides its content: what is asked of the experiment,
    and the versions and numbers it runs with, which stand for the code. Files of other settings
    are left alone. A damaged file is told of, and taken as missing.

    Attributes:
        folder: where they are; None to keep nothing.
        decides: plain data that contents depend on.
        tell: is given a line about every file that is damaged.
    """

    folder: Path | None
    decides: Mapping[str, Any]
    tell: Callable[[str], None]

    def beside(self, **more: Any) -> "Kept":
        """The same, of parts that more decides."""
        return dataclasses.replace(self, decides={**self.decides, **more})

    def record(self, name: str) -> Any:
        """What JSON made of a kept record; None if there is none."""
        return self._read(name, ".json", lambda path: json.loads(path.read_text("utf8")))

    def keep_record(self, name: str, record: Any) -> None:
        """Keep a frozen record of plain values.

        Raises:
            ArgumentError: it cannot be written.
        """
        content = json.dumps(dataclasses.asdict(record), indent=1)
        self._write(name, ".json", lambda stream: stream.write(content.encode()))

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """Kept arrays by name; None if there are none."""
        return self._read(name, ".npz", read_npz)

    def keep_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Keep arrays by name.

        Raises:
            ArgumentError: they cannot be written.
        """
        self._write(name, ".npz", lambda stream: np.savez_compressed(stream, **dict(arrays)))

    def fit(self, name: str, model: Callable[..., Any], *data: Any) -> amortis.Fit | None:
        """A kept fit on its own data; None if there is none."""
        return self._read(name, ".amortis", lambda path: _of_data(amortis.load(path, model, *data)))

    def keep_fit(self, name: str, fitted: amortis.Fit) -> None:
        """Keep a fit as an archive.

        Raises:
            ArgumentError: it cannot be written.
        """
        path = self._path(name, ".amortis")
        if path is not None:
            _made(path.parent)
            amortis.save(fitted, path)

    def _read(self, name: str, ending: str, read: Callable[[Path], Any]) -> Any:
        path = self._path(name, ending)
        if path is None or not path.is_file():
            return None
        try:
            return read(path)
        except (AmortisError, ValueError) as error:
            self.tell(f"'{path}' is damaged ({type(error).__name__}); this part is made again")
            return None

    def _write(self, name: str, ending: str, write: Callable[[Any], Any]) -> None:
        path = self._path(name, ending)
        if path is not None:
            _made(path.parent)
            with replacing(path) as stream:
                write(stream)

    def _path(self, name: str, ending: str) -> Path | None:
        if self.folder is None:
            return None
        digest = hashlib.sha256(json.dumps(self.decides, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{re.sub(r'[^A-Za-z0-9.+-]+', '_', name)}-{digest[:12]}{ending}"


def deciding(key: RandomKey, *arrays: np.ndarray, **asked: Any) -> dict[str, Any]:
    """Plain data that decide a run: its key, its data, what is asked, versions and precision.

    Args:
        key: random key.
        *arrays: data.
        **asked: settings, of which records are taken as they are printed.
    """
    simple = (bool, int, float, str, list)
    return {
        **{name: v if isinstance(v, simple) else repr(v) for name, v in asked.items()},
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "data": data_digest(*arrays),
        "amortis": amortis.__version__,
        "jax": jax.__version__,
        "backend": jax.default_backend(),
        "x64": bool(jax.config.read("jax_enable_x64")),
    }


def _of_data(loaded: Any) -> amortis.Fit:
    assert isinstance(loaded, amortis.Fit)  # its data were given
    return loaded


def _made(folder: Path) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise ArgumentError(
            f"'{folder}' cannot be made: {error.strerror or error}; name a folder that can be "
            f"written"
        ) from error
