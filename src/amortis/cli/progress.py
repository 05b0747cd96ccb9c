"""Progress of fits as they run: live bars on a terminal, now and then a line elsewhere."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from amortis.optimise import Monitor, Progress

_SECONDS_BETWEEN_LINES = 5.0

Clock = Callable[[], float]


@runtime_checkable
class ProgressDisplay(Protocol):
    """Shows fits that run one after another, each under its name."""

    def monitor_for(self, name: str) -> Monitor:
        """Start to show a fit; what is returned is to be given to `fit` as its `monitor`."""
        ...


def progress_display(
    console: Console | None = None, *, keep: int | None = None
) -> AbstractContextManager[ProgressDisplay]:
    """Bars that move on a terminal, else plain lines.

    Args:
        console: where to show it; by default the error stream, which leaves the results alone.
        keep: bars shown at once, where there are many fits; by default all of them.

    Returns:
        A context; it shows while it is open.
    """
    console = Console(stderr=True) if console is None else console
    return LiveProgress(console, keep=keep) if console.is_terminal else PlainProgress(console)


def describe(progress: Progress) -> str:
    """Objective, its noise if it is known, draws and iterations.

    Args:
        progress: where an optimisation stands.

    Returns:
        One line, such as `ELBO -6003.21 ± 0.80 nats, 32 draws, 480 iterations`.
    """
    noise = progress.noise
    error = "" if noise is None or not math.isfinite(noise) else f" ± {noise:.2f}"
    return (
        f"ELBO {progress.objective:.2f}{error} nats, {progress.draws} draws, "
        f"{progress.iterations} iterations"
    )


class TimeLeft:
    """Estimates the seconds left from the pace since the first block, which carries compilation."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def after(self, now: float, fraction: float) -> float | None:
        """Seconds left if the rest goes on as since the first call.

        Args:
            now: seconds from any start.
            fraction: share of the work that is done, in [0, 1].

        Returns:
            An estimate in seconds; None where there is no pace yet, or nothing left.
        """
        if self._first is None:
            self._first = (now, fraction)
        seconds, gained = now - self._first[0], fraction - self._first[1]
        return seconds * (1.0 - fraction) / gained if gained > 0.0 and fraction < 1.0 else None


def duration(seconds: float) -> str:
    """Seconds as a person would write them: `3.2 s`, `2 min 05 s`, `1 h 05 min`."""
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class PlainProgress(AbstractContextManager["PlainProgress"]):
    """One line for the first block of a fit, then one every few seconds, and one for the last.

    Attributes:
        console: where the lines go.
        clock: seconds from any start.
    """

    def __init__(self, console: Console, clock: Clock = time.perf_counter) -> None:
        self.console = console
        self.clock = clock

    def __exit__(self, *_: object) -> None:
        """Nothing is left open: every line was written whole."""

    def monitor_for(self, name: str) -> Monitor:
        """See `ProgressDisplay`."""
        started, pace = self.clock(), TimeLeft()
        last = -math.inf

        def monitor(progress: Progress, parameters: Callable[[], Any]) -> None:
            nonlocal last
            now = self.clock()
            left = pace.after(now, progress.fraction)
            if now - last < _SECONDS_BETWEEN_LINES and progress.fraction < 1.0:
                return
            last = now
            rest = f", about {duration(left)} left" if left else ""
            line = f"{name}: {describe(progress)}, {duration(now - started)}{rest}"
            self.console.out(line, highlight=False)

        return monitor


class LiveProgress(AbstractContextManager["LiveProgress"]):
    """One bar per fit; the clock runs on between blocks, and while code is being compiled.

    Attributes:
        bars: what draws them.
        clock: seconds from any start.
        keep: bars shown at once; None for all.
    """

    def __init__(
        self, console: Console, clock: Clock = time.perf_counter, keep: int | None = None
    ) -> None:
        self.clock = clock
        self.keep = keep
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[state]}", style="cyan"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            refresh_per_second=8,
        )

    def __enter__(self) -> "LiveProgress":
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        for task in self.bars.tasks:
            self.bars.stop_task(task.id)
            self.bars.update(task.id, left="")
        self.bars.stop()

    def monitor_for(self, name: str) -> Monitor:
        """See `ProgressDisplay`."""
        pace = TimeLeft()
        if self.keep is not None and len(self.bars.task_ids) >= self.keep:
            self.bars.remove_task(self.bars.task_ids[0])
        task: TaskID = self.bars.add_task(name, total=1.0, state="compiling", left="")
        furthest = 0.0

        def monitor(progress: Progress, parameters: Callable[[], Any]) -> None:
            nonlocal furthest
            furthest = max(furthest, progress.fraction)  # a bar that goes back confuses
            left = pace.after(self.clock(), furthest)
            self.bars.update(
                task,
                completed=furthest,
                state=describe(progress).replace(" iterations", " steps"),
                left=f"~{duration(left)} left" if left else "",
            )

        return monitor
