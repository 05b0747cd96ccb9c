"""The one clock of the race, and the snapshots of q, whose own time is taken off it.

Cold seconds count from the launch of the process: imports, binding, compilation. Warm seconds
count from the start of training with everything compiled. Who trains once has warm seconds and a
lead, the cold seconds at which training began; who trains twice has both.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

FIRST, RATIO, COARSE = 0.005, 1.15, 1.5
"""Seconds of the first snapshot, and their ratio; the coarse one for covariances and large q."""


class Clock:
    """Time of one contestant and what it has recorded.

    Attributes:
        limit: warm seconds that training may take.
        now: reads the clock: wall time, or this process's own time on a shared machine.
        coarse: whether snapshots are dear, so that few are taken.
    """

    def __init__(
        self, folder: Path, launched: float, limit: float, cpu: bool = False, coarse: bool = False
    ) -> None:
        self.limit, self.coarse = limit, coarse
        self.now = time.process_time if cpu else time.time
        launched = 0.0 if cpu else launched
        self._folder, self._launched = folder, launched
        self._pauses, self._origin, self._phase = 0.0, launched, "cold"
        self._due, self._count = FIRST, 0
        self._notes: dict[str, Any] = {}
        self._phases: dict[str, list[float]] = {}

    def start(self, phase: str = "warm") -> None:
        """Begin a training: `warm` counts from now, `cold` from the launch of the process."""
        if phase == "warm":
            self.note(lead=self.now() - self._launched - self._pauses)
        self._phase, self._due = phase, FIRST
        self._origin = self.now() if phase == "warm" else self._launched
        self._pauses = 0.0 if phase == "warm" else self._pauses

    def seconds(self) -> float:
        """Seconds of this phase, without what snapshots took."""
        return self.now() - self._origin - self._pauses

    def over(self) -> bool:
        """Whether the time limit of training is reached."""
        return self.seconds() >= self.limit

    def due(self) -> bool:
        """Whether the next snapshot of the grid is due."""
        return self.seconds() >= self._due

    def snapshot(self, q: Callable[[], dict[str, Any]]) -> None:
        """Record q, given by `mean` and `sd` (and `factor`, `log_det`), off the clock.

        Means alone are taken too (NUTS).
        """
        seconds, paused = self.seconds(), self.now()
        arrays = {name: np.asarray(value, np.float32) for name, value in q().items()}
        np.savez(self._folder / f"{self._count:04d}.npz", **arrays)
        self._phases.setdefault(self._phase, []).append(seconds)
        self.note(phases=self._phases)
        ratio = COARSE if self.coarse or "factor" in arrays else RATIO
        self._due, self._count = max(self._due, seconds) * ratio, self._count + 1
        self._pauses += self.now() - paused

    def kept(self, seconds: float, phase: str, q: dict[str, Any]) -> None:
        """Record a q of a moment that is past, after training."""
        arrays = {name: np.asarray(value, np.float32) for name, value in q.items()}
        np.savez(self._folder / f"{self._count:04d}.npz", **arrays)
        self._phases.setdefault(phase, []).append(seconds)
        self._count += 1

    def pause(self, since: float) -> None:
        """Take the time since a moment off the clock."""
        self._pauses += self.now() - since

    def note(self, **values: Any) -> None:
        """Write what is known so far, so that a run that is killed leaves it behind."""
        self._notes |= values
        (self._folder / "notes.json").write_text(json.dumps(self._notes))

    def finish(self) -> None:
        """Note the peak memory and all times of snapshots."""
        # Not getrusage, whose maximum begins with what the launching process held.
        lines = Path("/proc/self/status").read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
        self.note(peak_mb=int(peak) / 1024, phases=self._phases)


def block_sizes(most: int = 10_000) -> Iterator[int]:
    """Steps between looks at the clock, growing by a fifth of all steps so far."""
    done = 0
    while True:
        steps = min(max(1, done // 5), most)
        done += steps
        yield steps


def train(clock: Clock, advance: Callable[[int], None], q: Callable[[], dict[str, Any]]) -> None:
    """Advance in blocks of steps until the time limit, recording q when it is due.

    The last block has as many steps as there is time for.

    Args:
        clock: started.
        advance: takes so many steps and waits for them.
        q: q at the moment.
    """
    clock.snapshot(q)
    done = 0
    for block in block_sizes():
        seconds = clock.seconds()
        left = int((clock.limit - seconds) * done / seconds) if done else block
        steps = max(1, min(block, left))
        advance(steps)
        done += steps
        if clock.over() or clock.due():
            clock.snapshot(q)
        if clock.over():
            return
