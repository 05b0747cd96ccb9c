"""The race's tasks with few units, and data for them."""

import dataclasses
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
    shape = (UNITS, 64) if name == "ppca" else (UNITS,)
    return few, {"x": generator.normal(size=shape)}
