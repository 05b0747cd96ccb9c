"""The race's tasks with few units, and data for them."""

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
from racing.tasks import TASKS, Task

UNITS = 5


def small(name: str) -> tuple[Task, dict[str, Any]]:
    """A task of five units with data, seeded."""
    task, generator = TASKS[name], np.random.default_rng(3)
    few = dataclasses.replace(task, units=UNITS, local=(UNITS, *task.local[1:]))
    if name == "radon":
        homes = 12
        data: dict[str, Any] = {
            "log_radon": generator.normal(size=homes),
            "county_idx": 1 + np.arange(homes) % UNITS,
            "log_uppm": generator.normal(size=homes),
            "floor_measure": np.arange(homes) % 2,
            "J": UNITS,
        }
        return few, data
    if name == "irt":
        return few, {"y": generator.integers(0, 4, size=(UNITS, 7))}
    columns = {"ppca": (64,), "bnn": (784,)}.get(name, ())
    return few, {"x": generator.normal(size=(UNITS, *columns))}


def narrow_network() -> tuple[Task, dict[str, Any]]:
    """The neural network with few units in every layer, and data."""
    task, data = small("bnn")
    widths = (2, 4, 3, 6)
    globals_: dict[str, tuple[int, ...]] = {}
    for i, (m, n) in enumerate(pairwise(widths), start=1):
        globals_ |= {f"w{i}": (m, n), f"b{i}": (n,)}
    few = dataclasses.replace(task, globals_=globals_, local=(UNITS, widths[0]))
    return few, {"x": data["x"][:, : widths[-1]]}
