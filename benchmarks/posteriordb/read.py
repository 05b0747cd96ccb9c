"""The posteriors as they are kept: a model, its data, means and sds of reference draws.

The files, one per posterior as in posteriordb (Magnusson et al., 2024), are looked for in
`posteriordb` below AMORTIS_DATA, by default ../shared/data.
"""

import dataclasses
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .models import NAMES, model

SHARED = Path(__file__).parents[3] / "shared" / "data"


@dataclasses.dataclass(frozen=True)
class Posterior:
    """A model with data, and what is known of its posterior.

    Attributes:
        name: of the model in posteriordb.
        model: the NumPyro model, a function of the data.
        data: its arguments by name, floats throughout.
        parameters: names of the reference's scalars in order, `beta[1]` for the first of `beta`.
        mean: their posterior means, shape (parameters,).
        sd: their posterior sds, shape (parameters,).
    """

    name: str
    model: Callable[..., None]
    data: dict[str, np.ndarray]
    parameters: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray


def read(name: str, folder: Path | None = None) -> Posterior:
    """The posterior of this name, one of `NAMES`.

    Args:
        name: of the model in posteriordb.
        folder: where the files are; by default `posteriordb` below AMORTIS_DATA.
    """
    if name not in NAMES:
        raise SystemExit(f"{name!r} is no posterior of these; expected one of {', '.join(NAMES)}")
    kept = _kept(name, folder or Path(os.environ.get("AMORTIS_DATA", SHARED)) / "posteriordb")
    function, reference = model(name), kept["reference"]
    return Posterior(
        name,
        function,
        {
            each: np.asarray(kept["data"][each], float)
            for each in inspect.signature(function).parameters
        },
        tuple(reference),
        np.array([values["mean"] for values in reference.values()]),
        np.array([values["sd"] for values in reference.values()]),
    )


def _kept(name: str, folder: Path) -> dict[str, Any]:
    """The content of the one file whose name is that of a data set, a hyphen, and the model's."""
    files = sorted(folder.glob(f"*-{name}.json"))
    if len(files) != 1:
        raise SystemExit(
            f"{len(files)} files *-{name}.json are in {folder}; expected one: set AMORTIS_DATA"
        )
    return json.loads(files[0].read_text())
