"""The race as markdown tables and as a picture."""

from pathlib import Path
from typing import Any

from racing.tasks import TASKS, TITLES, Goal

BARS = {"warm": 5.0, "cold": 1.5}
"""Medians over tasks that the race is to reach."""


def table(result: dict[str, Any]) -> str:
    """All rows, task by task, and the bars."""
    return "\n\n".join([_bars(result), *(_task(result, name) for name in result["references"])])


def _bars(result: dict[str, Any]) -> str:
    tasks = list(result["references"])
    lines = [
        f"| ours, best peer's seconds over ours | {' | '.join(TITLES[t] for t in tasks)} "
        "| median | bar | slower |",
        "|---" * (len(tasks) + 4) + "|",
    ]
    for bar in result["bars"]:
        cells = [_ratio(bar, task) for task in tasks]
        met = "" if bar["median"] >= BARS[bar["kind"]] else " **not met**"
        slower = ", ".join(bar["slower"]) or "none"
        lines.append(
            f"| {bar['who']}, {bar['kind']} | {' | '.join(cells)} | {bar['median']:.3g}x "
            f"| ≥ {BARS[bar['kind']]:g}x{met} | {slower} |"
        )
    return "\n".join(lines)


def _ratio(bar: dict[str, Any], task: str) -> str:
    if task not in bar["ratios"]:
        return ""
    sign = "≥ " if task in bar["at_least"] else ""
    return f"{sign}{bar['ratios'][task]:.3g}x"


def _task(result: dict[str, Any], name: str) -> str:
    missed = f"not in {result['limit']:g} s"
    lines = [
        f"**{TITLES[name]}.** {_caption(result['references'][name], TASKS[name].goal)}",
        "",
        "| who | rate | ELBO: warm, s | cold, s | means: warm, s | cold, s "
        "| short of best, nats per unit | peak, MB | lines | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in (row for row in result["rows"] if row["task"] == name):
        times = [_seconds(row[key], missed) for key in ("warm", "cold")]
        compared = bool(TASKS[name].identified)
        times += [
            _seconds(row[key], missed) if compared else "" for key in ("warm_means", "cold_means")
        ]
        short = (
            ""
            if row["short"] is None
            else f"{row['short']:{'.4f' if row['short'] < 1e4 else '.2g'}}"
        )
        rate = "" if row["rate"] is None else f"{row['rate']:g}"
        peak = "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
        lines.append(
            f"| {row['who']} | {rate} | {' | '.join(times)} | {short} | {peak} "
            f"| {row['lines'] or ''} | {row['error'] or ''} |"
        )
    return "\n".join(lines)


def _seconds(value: float | None, missed: str) -> str:
    return missed if value is None else f"{value:.3g}"


def _caption(reference: dict[str, Any], goal: Goal) -> str:
    """What the goals are, and how far they can be reached."""
    if reference["best_known"] is None:
        return "No run left a q."
    if goal is Goal.BEST_PEER:
        best = reference.get("goal")
        whose = "none has any" if best is None else f"{reference['best_peer']}: {best:.0f} nats"
        return (
            f"Nobody comes near the optimum in time: the first goal is {goal.value} ({whose}); "
            f"there is no second. Best ELBO of all runs {reference['best_known']:.0f} nats."
        )
    off = reference["off"]
    return (
        f"Best known ELBO of the factorized family {reference['best_known']:.2f} nats; means of "
        f"the globals from {reference['how']}; the factorized optimum's own are {off:.2g} sd off"
        + (", so that the second goal is out of its reach." if off > 0.1 else ".")
    )


def plot(result: dict[str, Any], path: Path) -> None:
    """Warm and cold seconds to the ELBO's goal, a panel for each task, log scale."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tasks = list(result["references"])
    columns = min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    names = list(dict.fromkeys(row["who"] for row in result["rows"]))[::-1]
    figure, axes = plt.subplots(
        rows, columns, figsize=(4 * columns + 2, 3.4 * rows), sharey=True, squeeze=False
    )
    for axis, task in zip(axes.flat, tasks, strict=False):
        _panel(axis, [row for row in result["rows"] if row["task"] == task], names, result["limit"])
        axis.set_title(TITLES[task], fontsize=10)
        if TASKS[task].goal is not Goal.BEST_KNOWN:
            axis.set_xlabel(f"to {TASKS[task].goal.value}", fontsize=7)
    for axis in axes.flat[len(tasks) :]:
        axis.axis("off")
    figure.supxlabel(
        "seconds to within 0.01 nats per unit of the best ELBO: filled warm, open cold",
        fontsize=9,
    )
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(axis: Any, rows: list[dict[str, Any]], names: list[str], limit: float) -> None:
    most = max((row["cold"] for row in rows if row["cold"] is not None), default=limit)
    for row in rows:
        y, color = names.index(row["who"]), "tab:red" if row["ours"] else "tab:blue"
        if row["warm"] is None:
            axis.text(
                1.3 * max(most, 2 * limit),
                y,
                "not reached",
                ha="right",
                va="center",
                fontsize=7,
                color="0.5",
            )
            continue
        axis.plot(row["warm"], y, "o", color=color)
        if row["cold"] is not None:
            axis.plot([row["warm"], row["cold"]], [y, y], color=color, lw=1, alpha=0.5)
            axis.plot(row["cold"], y, "o", color=color, mfc="white")
    axis.set_xscale("log")
    axis.set_xlim(0.003, 1.5 * max(most, 2 * limit))
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.grid(axis="x", alpha=0.3)
