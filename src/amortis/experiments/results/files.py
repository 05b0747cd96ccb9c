"""Runs, paths and summaries as CSV and JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from amortis.data import replacing
from amortis.experiments.results.summary import Runs, Summary, SummaryRow

_TOLERANCE_NAMES = ("its_50", "its_10", "its_1")


def write_files(folder: Path, summary: Summary, runs: Runs) -> list[str]:
    """Write `runs.csv`, `paths.csv`, `summary.csv` and `summary.json`.

    Losses are in nats, total; what never happens is `never`, what is not known is empty.

    Args:
        folder: where they go; it must exist.
        summary: of the runs.
        runs: all of them.

    Returns:
        The names written.

    Raises:
        ArgumentError: a file cannot be written.
    """
    rows = [summary_row(summary, row) for row in summary.rows]
    _write_csv(folder / "runs.csv", *_runs_table(summary, runs))
    _write_csv(folder / "paths.csv", *_paths_table(summary, runs))
    head = list(rows[0])
    _write_csv(folder / "summary.csv", head, ([row[key] for key in head] for row in rows))
    campaign = summary.campaign
    content = {
        "experiment": campaign.settings.experiment,
        "setting": campaign.plan.setting.value,
        "title": campaign.settings.title,
        "schedule": campaign.schedule.value,
        "remark": summary.remark,
        "rows": rows,
    }
    with replacing(folder / "summary.json") as stream:
        stream.write((json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
    return ["runs.csv", "paths.csv", "summary.csv", "summary.json"]


def summary_row(summary: Summary, row: SummaryRow) -> dict[str, Any]:
    """A row as plain data: numbers, "never", None where nothing is known."""
    expected = row.expected
    known = {} if expected is None else {"best": expected.best, "median": expected.median}
    printed = (math.nan,) * 3 if expected is None else expected.iterations
    reference = known.get("best", math.nan)
    return {
        "method": row.method.name,
        "arm": row.arm.name,
        "seeds": len(row.losses),
        "failed": row.failed,
        "succeeded": row.succeeded,
        "reference_best": plain(reference),
        "best": plain(row.best),
        "ratio": plain(row.best / reference if reference else math.nan),
        "reference_median": plain(known.get("median", math.nan)),
        "median": plain(row.median),
        "worst": plain(row.worst),
        "target": plain(summary.target[row.method.name]),
        "best_known": plain(summary.best[row.method.name]),
        **{
            f"reference_{name}": plain(value)
            for name, value in zip(_TOLERANCE_NAMES, printed, strict=True)
        },
        **{
            name: plain(value) for name, value in zip(_TOLERANCE_NAMES, row.iterations, strict=True)
        },
        "goal_iterations": plain(row.goal_iterations),
        "goal_seconds": plain(row.goal_seconds),
        "seconds": plain(row.seconds),
        "agreement": row.agreement.value,
        "reason": "" if expected is None else expected.reason,
    }


def plain(value: float) -> float | str | None:
    """A number for JSON and CSV: "never" for infinity, None for NaN."""
    if math.isnan(value):
        return None
    return "never" if math.isinf(value) else value


def _runs_table(summary: Summary, runs: Runs) -> tuple[list[str], list[list[Any]]]:
    convergence = {(row.method.name, row.arm.name): iter(row.convergence) for row in summary.rows}
    others = sorted({key for result in runs.values() for key in result.values})
    head = ["method", "arm", "seed", "status", "loss", "seconds", *_TOLERANCE_NAMES]
    head += ["goal_iterations", "goal_seconds", "succeeded", *others]
    rows: list[list[Any]] = []
    for name, result in runs.items():
        fast = next(convergence[name.method.name, name.arm.name])
        times = (*fast.code, fast.goal_iterations, fast.goal_seconds)
        rows.append(
            [name.method.name, name.arm.name, name.seed, result.status]
            + [plain(result.loss), result.seconds, *map(plain, times), fast.succeeded]
            + [plain(result.values.get(key, math.nan)) for key in others]
        )
    return head, rows


def _paths_table(summary: Summary, runs: Runs) -> tuple[list[str], Iterable[list[Any]]]:
    head = ["method", "arm", "seed", "iterations", "seconds", "loss"]
    return head, (
        [name.method.name, name.arm.name, name.seed, iteration, f"{seconds:.6g}", plain(loss)]
        for name, result in runs.items()
        for iteration, seconds, loss in zip(
            result.path.iterations, result.path.seconds, result.path.losses, strict=True
        )
    )


def _write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with replacing(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf8", newline="")
        writer = csv.writer(text)
        writer.writerow(head)
        writer.writerows(rows)
        text.detach()
