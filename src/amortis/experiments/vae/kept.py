"""What a run keeps, so that one that was killed goes on."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

import amortis
from amortis._types import RandomKey
from amortis.experiments.binarised import Binarised
from amortis.experiments.sheet import plain
from amortis.experiments.tasks.data_digest import data_digest
from amortis.experiments.vae.gap import Gap, Level, Likelihood
from amortis.experiments.vae.model import ImageModel
from amortis.experiments.vae.sizes import VaeSize
from amortis.report import replacing

_LEVELS = ("estimates", "optima", "terms")
_LEVEL = ("log_evidence", "encoder", "total")


class KeptRun:
    """A run's files: the fit as an archive, what was measured as JSON.

    Names carry a digest of all that decides the numbers but the code, for which the version stands.
    """

    def __init__(
        self, folder: Path | None, size: VaeSize, images: Binarised, key: RandomKey
    ) -> None:
        """Where files are, and whose they are.

        Args:
            folder: where they are; None to keep nothing.
            size: of the run.
            images: its data.
            key: its random key.
        """
        numbers = np.asarray(jax.random.key_data(key)).tolist()
        data = data_digest(images.training, images.held_out)
        asked = [repr(size), data, numbers, amortis.__version__]
        self._digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]
        self._folder = folder

    def fit(self, model: ImageModel, images: Binarised) -> amortis.Fit | None:
        """The fit, if there is one."""
        if self._folder is None or not self._place("fit.amortis").is_file():
            return None
        found = amortis.load(self._place("fit.amortis"), model, images.training)
        assert isinstance(found, amortis.Fit)  # its data were given
        return found

    def keep_fit(self, fitted: amortis.Fit) -> None:
        """Keep the fit."""
        if self._folder is not None:
            amortis.save(fitted, self._place("fit.amortis"))

    def gap(self, images: str) -> Gap | None:
        """The gap on images of a kind, if it was measured."""
        given = self._read(f"gap-{images}.json")
        if given is None:
            return None
        given |= {name: tuple(Level(**level) for level in given[name]) for name in _LEVELS}
        given |= {name: Level(**given[name]) for name in _LEVEL}
        return Gap(**given)

    def likelihood(self) -> Likelihood | None:
        """The held-out log likelihood, if it was measured."""
        given = self._read("likelihood.json")
        return None if given is None else Likelihood(**given)

    def keep(self, found: Gap | Likelihood) -> None:
        """Keep what was measured."""
        if self._folder is None:
            return
        name = f"gap-{found.images}.json" if isinstance(found, Gap) else "likelihood.json"
        with replacing(self._place(name)) as stream:
            stream.write(json.dumps(plain(dataclasses.asdict(found))).encode())

    def _read(self, name: str) -> dict[str, Any] | None:
        if self._folder is None or not self._place(name).is_file():
            return None
        return json.loads(self._place(name).read_text("utf8"))

    def _place(self, name: str) -> Path:
        assert self._folder is not None  # who asks has looked
        return self._folder / f"{self._digest}-{name}"
