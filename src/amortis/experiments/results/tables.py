"""Rows of a summary as tables, on the terminal and on the page."""

import math
from collections.abc import Sequence

from amortis.experiments.results.agreement import Agreement
from amortis.experiments.results.summary import Summary, SummaryRow
from amortis.report import Cell, Column

LOSS_COLUMNS = (
    Column("method"),
    Column("optimiser"),
    Column("reference best"),
    Column("best"),
    Column("ratio", form=".5f"),
    Column("reference median"),
    Column("median"),
    Column("within 1 %"),
    Column("failed", form="d"),
    Column("agreement"),
)

TIME_COLUMNS = (
    Column("method"),
    Column("optimiser"),
    Column("reference its to 50/10/1 %"),
    Column("its to 50/10/1 %"),
    Column("its, our rule"),
    Column("seconds, our rule"),
    Column("seconds of a run", form=".2f"),
)


def loss_rows(summary: Summary) -> list[list[Cell]]:
    """Losses beside their references; the columns are `LOSS_COLUMNS`."""
    return [
        [
            row.method.name,
            row.arm.name,
            None if row.expected is None else _loss(row.expected.best),
            _loss(row.best),
            _ratio(row),
            None if row.expected is None else _loss(row.expected.median),
            _loss(row.median),
            f"{row.succeeded} of {len(row.losses)}",
            row.failed,
            "–" if row.agreement is Agreement.NONE else row.agreement.value,
        ]
        for row in summary.rows
    ]


def time_rows(summary: Summary) -> list[list[Cell]]:
    """Iterations and seconds by both rules; the columns are `TIME_COLUMNS`."""
    return [
        [
            row.method.name,
            row.arm.name,
            None if row.expected is None or row.arm.ours else _times(row.expected.iterations),
            _times(row.iterations),
            _time(row.goal_iterations),
            _time(row.goal_seconds),
            row.seconds,
        ]
        for row in summary.rows
    ]


def reasons(summary: Summary) -> list[str]:
    """Why rows differ from their references: the reason written in the settings, or that none is.

    Args:
        summary: of an experiment at a setting.

    Returns:
        One sentence per row whose losses differ, or whose settings have a reason.
    """
    found: list[str] = []
    fine = {
        row.method.name
        for row in summary.rows
        if row.arm.ours and row.agreement in (Agreement.AGREES, Agreement.BETTER)
    }
    for row in summary.rows:
        written = "" if row.expected is None else row.expected.reason
        if row.agreement is not Agreement.DIFFERS:
            continue
        cut = summary.campaign.plan.schedules.get(summary.campaign.schedule)
        if not row.arm.ours and cut is not None and cut.cut:
            beside = "ours reaches it" if row.method.name in fine else "ours differs too"
            reason = f"the schedule is cut ({cut.cut}); {written or beside}"
        else:
            reason = written or "no reason is known yet"
        found.append(f"{row.method.name}, {row.arm.name}: {reason}")
    return found


def _ratio(row: SummaryRow) -> float | None:
    reference = math.nan if row.expected is None else row.expected.best
    ratio = row.best / reference if reference else math.nan
    return ratio if math.isfinite(ratio) else None


def _loss(value: float) -> str | None:
    """Nats to two places, or four where they are few: 553.05, 7.0091."""
    if math.isnan(value):
        return None
    return f"{value:.2f}" if abs(value) >= 100 else f"{value:.4f}"


def _times(values: Sequence[float]) -> str | None:
    if all(math.isnan(value) for value in values):
        return None
    return " / ".join(_time(value) or "–" for value in values)


def _time(value: float) -> str | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "never"
    return f"{value:.0f}" if value >= 10 else f"{value:.3g}"
