"""An experiment at a setting, with where its files are."""

import dataclasses
from pathlib import Path

from amortis.experiments.results.summary import Summary


@dataclasses.dataclass(frozen=True)
class Reproduced:
    """An experiment at a setting, run.

    Attributes:
        summary: its rows.
        folder: where its files are.
        files: their names.
    """

    summary: Summary
    folder: Path
    files: tuple[str, ...]
