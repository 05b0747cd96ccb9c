"""Scores a run's snapshots off its clock: `python -m racing.score FOLDER RESULT CORE`."""

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from racing.elbos import Gaussian, elbo
from racing.tasks import TASKS, load
from racing.user_code import lines_of_user_code

REFERENCE = Path(__file__).parents[1] / "results" / "race_reference.json"
WRONG_DENSITY = 1e-3
"""Relative error of a log joint beyond which a contestant has another model than the race."""


def main(folder: Path, out: Path) -> None:
    """Write ELBOs and distances of the globals' means by phase, and the notes."""
    order = json.loads((folder / "order.json").read_text())
    order.pop("launched")
    notes_path = folder / "notes.json"
    notes = json.loads(notes_path.read_text()) if notes_path.exists() else {}
    task = TASKS[order["task"]]
    data = load(task, Path(order["data"]))
    known = json.loads(REFERENCE.read_text()).get(task.name) if REFERENCE.exists() else None
    files = iter(sorted(folder.glob("[0-9]*.npz")))
    phases: dict[str, Any] = {}
    for phase, seconds in notes.pop("phases", {}).items():
        found: dict[str, list[float]] = {"seconds": seconds, "elbo": [], "error": [], "off": []}
        for _ in seconds:
            with np.load(next(files)) as file:
                arrays = dict(file)
            value, error = _elbo(task, data, arrays)
            found["elbo"].append(value)
            found["error"].append(error)
            found["off"].append(_off(task, known, arrays["mean"]))
        phases[phase] = found
    off = notes.get("density_error")
    if off is not None and not off <= WRONG_DENSITY:  # nor what is not a number
        notes["error"] = f"another density: relative error {off:.2g}"
    if not phases and "error" not in notes:
        notes["error"] = "no q within the time"
    lines = lines_of_user_code(order["module"], order["task"])
    result = {**order, **notes, "lines": lines, "phases": phases}
    out.write_text(json.dumps(result))


def _elbo(task: Any, data: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[float, float]:
    if "sd" not in arrays:
        return -np.inf, 0.0
    log_det = float(arrays.get("log_det", 0.0))
    return elbo(task, data, Gaussian(arrays["mean"], arrays["sd"], arrays.get("factor"), log_det))


def _off(task: Any, known: dict[str, Any] | None, mean: np.ndarray) -> float:
    """Largest distance of an identified global's mean from NUTS's, in posterior sds."""
    if known is None:
        return float("nan")
    places = task.identified_places()
    if not len(places):
        return math.inf
    return float(np.max(np.abs(mean[places] - known["mean"]) / np.asarray(known["sd"])))


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[3])})
    main(Path(sys.argv[1]), Path(sys.argv[2]))
