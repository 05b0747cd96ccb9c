"""Finished runs on disk: one JSON file each, found again by what decides them."""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from amortis._errors import ArgumentError
from amortis.data import replacing
from amortis.experiments.topics.results import TopicRun


@dataclasses.dataclass(frozen=True)
class KeptRuns:
    """Runs in a folder.

    Attributes:
        folder: where; None to keep nothing.
        tell: is given a line about what is read, and about every file that is damaged.
    """

    folder: Path | None
    tell: Callable[[str], None]

    def kept_or_made(
        self, name: str, decides: Mapping[str, Any], make: Callable[[], TopicRun]
    ) -> TopicRun:
        """The run, from its file if that is there, whole, and of the same settings.

        Args:
            name: of the run.
            decides: plain data that its result depends on.
            make: makes it otherwise.

        Raises:
            ArgumentError: it cannot be written.
        """
        if self.folder is None:
            return make()
        path = self.folder / (re.sub(r"[^\w.+-]+", "_", name) + ".json")
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        found = self._read(path, digest)
        if found is not None:
            self.tell(f"{name}: kept from an earlier run")
            return found
        made = make()
        content = {"decides": digest, "run": dataclasses.asdict(made)}
        try:
            os.makedirs(self.folder, exist_ok=True)
        except OSError as error:
            raise ArgumentError(
                f"'{self.folder}' cannot be made: {error.strerror or error}; name a folder that "
                f"can be written"
            ) from error
        with replacing(path) as stream:
            stream.write(json.dumps(content, indent=1).encode())
        return made

    def _read(self, path: Path, digest: str) -> TopicRun | None:
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf8"))
            return TopicRun.of(content["run"]) if content["decides"] == digest else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.tell(f"'{path}' is damaged ({type(error).__name__}); this run is made again")
            return None
