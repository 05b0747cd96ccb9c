import io
import math
from collections.abc import Callable

import pytest
from rich.console import Console

from amortis import Progress
from amortis.cli.progress import (
    LiveProgress,
    PlainProgress,
    TimeLeft,
    describe,
    duration,
    progress_display,
)

FIXED = Progress(objective=-6003.214, noise=None, draws=32, iterations=480, fraction=0.5)
FRESH = Progress(objective=-6003.214, noise=0.8, draws=2, iterations=480, fraction=0.5)


def at(fraction: float) -> Progress:
    return Progress(-1.0, None, 8, 12, fraction)


def parameters() -> None:
    raise AssertionError("progress has no need of the parameters")


def plain() -> tuple[io.StringIO, Console]:
    stream = io.StringIO()
    return stream, Console(file=stream, width=40)


def clock_of(*seconds: float) -> Callable[[], float]:
    times = iter(seconds)
    return lambda: next(times)


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (FIXED, "ELBO -6003.21 nats, 32 draws, 480 iterations"),
        (FRESH, "ELBO -6003.21 ± 0.80 nats, 2 draws, 480 iterations"),
        (Progress(-5.0, math.inf, 2, 1, 0.0), "ELBO -5.00 nats, 2 draws, 1 iterations"),
        (Progress(math.nan, None, 2, 1, 0.0), "ELBO nan nats, 2 draws, 1 iterations"),
    ],
)
def test_a_line_says_where_it_stands(progress, line) -> None:
    assert describe(progress) == line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (3.21, "3.2 s"),
        (59.4, "59.4 s"),
        (125.0, "2 min 05 s"),
        (3900.0, "1 h 05 min"),
    ],
)
def test_durations_are_written_as_a_person_would(seconds, text) -> None:
    assert duration(seconds) == text


def test_time_left_is_paced_from_the_first_block_on() -> None:
    left = TimeLeft()
    assert left.after(20.0, 0.1) is None  # twenty seconds of compilation are no pace
    assert left.after(22.0, 0.1) is None
    assert left.after(24.0, 0.5) == pytest.approx(4.0 * 0.5 / 0.4)
    assert left.after(30.0, 1.0) is None


def test_plain_lines_come_at_first_every_few_seconds_and_at_the_end() -> None:
    stream, console = plain()
    clock = clock_of(0.0, 2.0, 3.0, 6.9, 7.0, 7.1, 8.0)
    with PlainProgress(console, clock) as display:
        monitor = display.monitor_for("table")
        for fraction in (0.2, 0.3, 0.4, 0.6, 0.7, 1.0):
            monitor(at(fraction), parameters)
    assert stream.getvalue().split("\n") == [
        "table: ELBO -1.00 nats, 8 draws, 12 iterations, 2.0 s",
        "table: ELBO -1.00 nats, 8 draws, 12 iterations, 7.0 s, about 5.0 s left",
        "table: ELBO -1.00 nats, 8 draws, 12 iterations, 8.0 s",
        "",
    ]


def test_fits_that_follow_each_other_have_their_own_clock() -> None:
    stream, console = plain()
    with PlainProgress(console, clock_of(0.0, 1.0, 10.0, 12.0)) as display:
        for name in ("first", "second"):
            display.monitor_for(name)(at(0.1), parameters)
    first, second, _ = stream.getvalue().split("\n")
    assert first.startswith("first: ") and first.endswith(", 1.0 s")
    assert second.startswith("second: ") and second.endswith(", 2.0 s")


def test_a_stream_that_is_no_terminal_gets_plain_lines() -> None:
    with progress_display(plain()[1]) as display:
        assert isinstance(display, PlainProgress)


def test_bars_show_compiling_then_the_state_and_never_go_back() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=110, color_system=None)
    with LiveProgress(console, clock_of(2.0, 4.0, 5.0)) as display:
        monitor = display.monitor_for("digits")
        display.bars.refresh()
        assert "compiling" in stream.getvalue()
        monitor(at(0.2), parameters)
        monitor(at(0.6), parameters)
        monitor(at(0.4), parameters)
        assert display.bars.tasks[0].completed == pytest.approx(0.6)
        display.bars.refresh()
        assert "ELBO -1.00 nats, 8 draws, 12 steps" in stream.getvalue()
        assert "~3.0 s left" in stream.getvalue()
    last = [line for line in stream.getvalue().replace("\r", "\n").split("\n") if "ELBO" in line][
        -1
    ]
    assert "digits" in last and "left" not in last
