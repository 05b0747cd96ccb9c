"""From runs to rows: seconds to come and stay, each contestant at its best rate, and the bars."""

import math
from typing import Any

import numpy as np

from racing.field import CONTESTANTS, Contestant
from racing.tasks import TASKS, Goal

NATS, SDS = 0.01, 0.1
"""Goals: nats per unit short of the best known ELBO, posterior sds of the exact or NUTS means."""

Run = dict[str, Any]


_OVERTIME = 1.05
"""Of the limit: a last step may end after it."""

STAY = 2.0
"""Times the seconds to the goal for which it has to be kept: who trains on at a constant rate may
leave again."""


def seconds_to_stay(seconds: list[float], reached: list[bool]) -> float:
    """Seconds of the first snapshot that reaches the goal and is not the last to do so for a while.

    It and all snapshots until `STAY` times its seconds reach the goal: a span of time, since the
    snapshots of contestants lie closer or further apart. Infinity where there is none.
    """
    for i, at in enumerate(seconds):
        span = zip(seconds[i:], reached[i:], strict=True)
        if all(there for later, there in span if later <= STAY * at):
            return at
    return math.inf


def summarize(runs: list[Run], references: dict[str, Run], limit: float) -> dict[str, Any]:
    """Best known ELBOs, a row for each task and contestant, and the bars.

    Args:
        runs: results of `launch.one_run`.
        references: of each task.
        limit: seconds that training could take.
    """
    rows: list[Run] = []
    for name in dict.fromkeys(run["task"] for run in runs):
        found = [run for run in runs if run["task"] == name]
        best = _best_known(found, references[name])
        references[name]["best_known"] = _finite(best)
        goal = best - NATS * TASKS[name].units
        if TASKS[name].goal is Goal.BEST_PEER:
            goal, references[name]["best_peer"] = best_peer(found, limit)
        references[name]["goal"] = _finite(goal)
        for who in CONTESTANTS:
            its = [run for run in found if run["who"] == who.name]
            if its:
                rows.append(_row(name, who, its, best, goal))
    return {"references": references, "rows": rows, "bars": bars(rows, limit)}


def _best_known(runs: list[Run], reference: Run) -> float:
    """The best ELBO of the factorized family that anybody has found."""
    factorized = {who.name for who in CONTESTANTS if who.factorized}
    found = [
        value
        for run in runs
        if run["who"] in factorized
        for phase in run.get("phases", {}).values()
        for value in phase["elbo"]
    ]
    known = [value for value in (reference["elbo"], *found) if value is not None]
    return max(known, default=-math.inf)


def best_peer(runs: list[Run], limit: float) -> tuple[float, str | None]:
    """The best ELBO that a peer has at the end of its time, and whose it is.

    What a peer has only after the limit, since it could not be stopped in time, is left out. Of a
    peer's seeds at one rate the median counts, of an even number the lower one, so that it is
    one of them. Runs that failed or diverged say nothing; infinity where none is left.
    """
    ours = {who.name for who in CONTESTANTS if who.ours}
    ends: dict[tuple[str, float | None], list[float]] = {}
    for run in runs:
        warm = run.get("phases", {}).get("warm")
        if run["who"] not in ours and "error" not in run and warm is not None:
            pairs = zip(warm["seconds"], warm["elbo"], strict=True)
            within = [elbo for seconds, elbo in pairs if seconds <= _OVERTIME * limit]
            if within:
                ends.setdefault((run["who"], run["options"]["rate"]), []).append(within[-1])
    medians = {key: sorted(each)[(len(each) - 1) // 2] for key, each in ends.items()}
    sound = {key: value for key, value in medians.items() if math.isfinite(value)}
    best = max(sound, key=lambda key: sound[key], default=None)
    return (math.inf, None) if best is None else (sound[best], best[0])


def _row(task: str, who: Contestant, runs: list[Run], best: float, goal: float) -> Run:
    rates = list(dict.fromkeys(run["options"]["rate"] for run in runs))
    at = {rate: [run for run in runs if run["options"]["rate"] == rate] for rate in rates}
    by_rate = [_at_rate(task, each, best, goal) for each in at.values()]
    row = min(by_rate, key=lambda each: (each["warm"], each["warm_means"], -each["elbo"]))
    row = {key: _finite(value) for key, value in row.items()}
    return {"task": task, "who": who.name, "ours": who.ours, **row}


def _at_rate(task: str, runs: list[Run], best: float, goal: float) -> Run:
    measured = [_measured(run, goal) for run in runs]
    medians = {key: float(np.median([m[key] for m in measured])) for key in measured[0]}
    errors = [run["error"] for run in runs if "error" in run]
    return {
        "rate": runs[0]["options"]["rate"],
        **medians,
        "short": (best - medians["elbo"]) / TASKS[task].units,
        "reached": sum(math.isfinite(m["warm"]) for m in measured),
        "runs": len(runs),
        "lines": runs[0].get("lines"),
        "error": errors[0] if errors else None,
    }


def _measured(run: Run, target: float) -> dict[str, float]:
    """Seconds to both goals, cold and warm; the final ELBO; memory."""
    phases = run.get("phases", {})
    wrong = "error" in run and "density" in run["error"]
    warm, cold = phases.get("warm"), phases.get("cold")
    found = {}
    for name, phase in (("warm", warm), ("cold", cold)):
        lead = 0.0
        if phase is None or wrong:
            phase = warm if name == "cold" and not wrong else None
            lead = run.get("lead", 0.0)
        found |= {name: math.inf, f"{name}_means": math.inf}
        if phase is not None:
            near = [x <= SDS for x in phase["off"]]
            above = [x >= target for x in phase["elbo"]]
            found[name] = lead + seconds_to_stay(phase["seconds"], above)
            found[f"{name}_means"] = lead + seconds_to_stay(phase["seconds"], near)
    last = None if warm is None else warm
    return found | {
        "elbo": -math.inf if last is None else last["elbo"][-1],
        "off": math.inf if last is None else last["off"][-1],
        "peak_mb": run.get("peak_mb", math.nan),
    }


def bars(rows: list[Run], limit: float) -> list[Run]:
    """Ratios of the best peer's seconds to ours, task by task, and their medians.

    Where no peer reaches the goal within the limit, the ratio is at least the limit's, if any peer
    did run to it; peers that failed before they were there say nothing.
    """
    found: list[Run] = []
    for who in ("amortis A-VI", "amortis F-VI"):
        for kind in ("warm", "cold"):
            ratios, bounds = {}, []
            for task in dict.fromkeys(row["task"] for row in rows):
                here = [row for row in rows if row["task"] == task]
                ours = [row[kind] for row in here if row["who"] == who]
                others = [row for row in here if not row["ours"]]
                sound = [row for row in others if not row["error"] or row[kind] is not None]
                peers = [row[kind] for row in sound if row[kind] is not None]
                if not ours or not sound:
                    continue
                bounds += [] if peers or ours[0] is None else [task]
                ratios[task] = 0.0 if ours[0] is None else min(peers, default=limit) / ours[0]
            if ratios:
                found.append(
                    {
                        "who": who,
                        "kind": kind,
                        "ratios": ratios,
                        "at_least": bounds,
                        "median": float(np.median(list(ratios.values()))),
                        "slower": [task for task, ratio in ratios.items() if ratio < 1.0],
                    }
                )
    return found


def with_other_tasks(result: Run, before: Run) -> Run:
    """A result with the tasks of an earlier one that were not run again under its settings."""
    alike = ("limit", "clock", "seeds", "machine", "versions")
    if any(result[key] != before.get(key) for key in alike):
        return result
    references = {**before["references"], **result["references"]}
    both = [row for row in before["rows"] if row["task"] not in result["references"]]
    both += result["rows"]
    rows = [row for task in TASKS for row in both if row["task"] == task]
    ordered = {task: references[task] for task in TASKS if task in references}
    again = {"references": ordered, "rows": rows, "bars": bars(rows, result["limit"])}
    return {**result, **again}


def _finite(value: Any) -> Any:
    """JSON has no infinity: what was not reached is None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
