"""A contestant's process: `python -m racing.entry FOLDER CORE`, told by `order.json` there."""

import json
import os
import sys
from pathlib import Path

if __name__ == "__main__":  # before anything starts threads
    os.sched_setaffinity(0, {int(sys.argv[2])})

import importlib
import traceback

import numpy as np

from racing.clock import Clock
from racing.log_joints import log_joint, trial_points
from racing.tasks import TASKS, load


def main(folder: Path) -> None:
    """Run what was ordered; leave snapshots and notes, whatever happens."""
    order = json.loads((folder / "order.json").read_text())
    task = TASKS[order["task"]]
    clock = Clock(folder, order["launched"], order["limit"], order["cpu"], task.coarse)
    data = load(task, Path(order["data"]))
    try:
        contestant = importlib.import_module(f"racing.contestants.{order['module']}")
        its_own = contestant.run(task, data, clock, order["options"])
        points = trial_points(task)
        expected = log_joint(task, data, points)
        # Relative to the density itself: sums of 32 bit are good to 1e-6 of it.
        found = np.asarray(its_own(points), np.float64)
        clock.note(density_error=float(np.max(np.abs(found - expected) / np.abs(expected))))
    except Exception as error:
        traceback.print_exc()
        clock.note(error=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
