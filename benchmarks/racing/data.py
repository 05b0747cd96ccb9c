"""The tasks' data, written once where every contestant reads them."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from amortis.data import MNIST, Part, load_images
from amortis.experiments import digits, linear, nonlinear, saw
from amortis.experiments.comparison import Setting
from racing.tasks import COUNTIES, ITEMS, MNIST_IMAGES, PEOPLE

SHARED = Path(__file__).parents[3] / "shared" / "data"


def prepare(folder: Path, tasks: Iterable[str]) -> None:
    """Write one NPZ file per task into the folder, with the models' arguments by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in tasks:
        if not (folder / f"{name}.npz").exists():
            np.savez(folder / f"{name}.npz", **_MAKERS[name]())


def _linear() -> dict[str, np.ndarray]:
    return {"x": linear.simulate(10_000, seed=0)}


def _nonlinear() -> dict[str, np.ndarray]:
    return {"x": nonlinear.simulate(Setting.PAPER, 10_000, seed=0).x}


def _saw() -> dict[str, np.ndarray]:
    return {"x": saw.simulate(Setting.PAPER, 1000, seed=0)}


def _radon() -> dict[str, np.ndarray]:
    raw = _hierarchical("radon_all.json")
    if raw["J"] != COUNTIES:
        raise SystemExit(f"radon_all.json has {raw['J']} counties; expected {COUNTIES}")
    names = ("log_radon", "county_idx", "log_uppm", "floor_measure")
    return {name: np.asarray(raw[name]) for name in names}


def _irt() -> dict[str, np.ndarray]:
    raw = _hierarchical("science_irt.json")
    return {"y": np.asarray(raw["y"]).reshape(PEOPLE, ITEMS)}


def _ppca() -> dict[str, np.ndarray]:
    return {"x": digits.images()}


def _bnn() -> dict[str, np.ndarray]:
    pixels = load_images(MNIST, Part.TEST, folder=_data()).pixels[:MNIST_IMAGES]
    if len(pixels) < MNIST_IMAGES:
        raise SystemExit(
            f"mnist has {len(pixels)} test images in {_data()}; expected {MNIST_IMAGES}"
        )
    return {"x": pixels.reshape(MNIST_IMAGES, -1).astype(np.float32) / np.float32(255.0)}


def _data() -> Path:
    return Path(os.environ.get("AMORTIS_DATA", SHARED))


def _hierarchical(name: str) -> dict:
    folder = _data() / "hierarchical"
    if not (folder / name).exists():
        raise SystemExit(f"{name} is not in {folder}; expected it there: set AMORTIS_DATA")
    return json.loads((folder / name).read_text())


_MAKERS: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    "linear": _linear,
    "nonlinear": _nonlinear,
    "saw": _saw,
    "radon": _radon,
    "irt": _irt,
    "ppca": _ppca,
    "bnn": _bnn,
}
