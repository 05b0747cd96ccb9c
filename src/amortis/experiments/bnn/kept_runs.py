"""Finished fits on disk: one file each, written whole, found again by what decides them."""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from amortis._errors import ArgumentError, DataError
from amortis.data import read_npz, replacing
from amortis.experiments.bnn.one_fit import BnnRun

_DECIDES = "decides"


@dataclasses.dataclass(frozen=True)
class KeptRuns:
    """Fits in a folder.

    Attributes:
        folder: where; None to keep nothing.
        tell: is given a line about every file that is damaged.
    """

    folder: Path | None
    tell: Callable[[str], None]

    def load(self, name: str, decides: Mapping[str, Any]) -> BnnRun | None:
        """A fit, if it is there, whole, and of the same settings.

        Args:
            name: of the fit.
            decides: plain data that its result depends on.
        """
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        try:
            arrays = read_npz(path)
            if str(arrays[_DECIDES]) != _digest(decides):
                return None
            values = {f.name: arrays[f.name] for f in dataclasses.fields(BnnRun)}
        except (DataError, KeyError) as error:
            self.tell(f"'{path}' is damaged ({type(error).__name__}); this fit is made again")
            return None
        plain: dict[str, Any] = {k: v.item() if v.ndim == 0 else v for k, v in values.items()}
        return BnnRun(**plain)

    def save(self, name: str, decides: Mapping[str, Any], run: BnnRun) -> None:
        """Write a fit, whole or not at all.

        Args:
            name: of the fit.
            decides: plain data that its result depends on.
            run: what to keep.

        Raises:
            ArgumentError: it cannot be written.
        """
        path = self._path(name)
        if path is None:
            return
        try:
            os.makedirs(path.parent, exist_ok=True)
        except OSError as error:
            raise ArgumentError(
                f"'{path.parent}' cannot be made: {error.strerror or error}; name a folder that "
                f"can be written"
            ) from error
        values: dict[str, Any] = {f.name: getattr(run, f.name) for f in dataclasses.fields(run)}
        values[_DECIDES] = np.asarray(_digest(decides))
        with replacing(path) as stream:
            np.savez_compressed(stream, **values)

    def _path(self, name: str) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / (re.sub(r"[^\w.+-]+", "_", name) + ".npz")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
