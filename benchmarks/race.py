"""The race: seconds to come and stay within 0.01 nats per datum of the best known ELBO.

    python benchmarks/race.py

Contestants are processes of their own on the same data: amortis (nothing chosen but the inference
function) against the paper's algorithm in eager PyTorch (Adam, 100 draws, at learning rates 1e-3
and 1e-2). One evaluator scores everybody's q. Cold counts from the launch of the process, warm from
the start of training with everything compiled. Needs the bench extra. Run it on an idle machine:
eager PyTorch suffers more from company than one compiled program does.
"""

import argparse
import json
import math
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from evaluate import Evaluator, seconds_to_stay

from amortis.experiments import linear, nonlinear
from amortis.experiments.comparison import Setting

HERE = Path(__file__).parent
ROWS, TOLERANCE = 10_000, 0.01
RATES = ("1e-2", "1e-3")
TASKS: dict[str, tuple[str, list[str], float]] = {
    "linear, A-VI d = 1": ("linear", ["--method", "avi", "--degree", "1"], 20.0),
    "linear, F-VI": ("linear", ["--method", "fvi"], 20.0),
    "nonlinear, A-VI k = 16": ("nonlinear", ["--method", "avi", "--width", "16"], 60.0),
    "nonlinear, F-VI": ("nonlinear", ["--method", "fvi"], 60.0),
}


def main() -> None:
    """Run all contestants one after the other and write the table."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        result = race(Path(folder), options.seeds, options.limit)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


def race(folder: Path, seeds: int, limit: float) -> dict[str, Any]:
    """All tasks; `limit` scales the seconds PyTorch is given."""
    data = {
        "linear": linear.simulate(ROWS, seed=0),
        "nonlinear": nonlinear.simulate(Setting.PAPER, ROWS, seed=0).x,
    }
    runs: list[dict[str, Any]] = []
    for name, x in data.items():
        np.savez(folder / f"{name}.npz", x=x)
    for task, (model, arguments, seconds) in TASKS.items():
        for seed in range(seeds):
            common = ["--model", model, *arguments, "--seed", str(seed)]
            common += ["--data", str(folder / f"{model}.npz")]
            runs.append(_run("contestant.py", common, folder, task, model, "amortis"))
            for rate in RATES:
                more = ["--lr", rate, "--iterations", "100000", "--seconds", str(limit * seconds)]
                label = f"PyTorch, Adam {rate}"
                runs.append(_run("baseline.py", common + more, folder, task, model, label))
            print(f"{task}, seed {seed} done", file=sys.stderr, flush=True)
    return {
        "machine": f"{platform.machine()}, 2 cores, CPU",
        "versions": _versions(),
        "rows": ROWS,
        "tolerance": TOLERANCE,
        "rows_of_table": _score(runs, data),
    }


def _run(
    script: str, arguments: list[str], folder: Path, task: str, model: str, label: str
) -> dict[str, Any]:
    out = folder / f"{len(list(folder.iterdir()))}.npz"
    command = [sys.executable, str(HERE / script), *arguments, "--out", str(out)]
    subprocess.run(
        [*command, "--started", repr(time.time())], check=True, stdout=subprocess.DEVNULL
    )
    with np.load(out) as file:
        return {"task": task, "model": model, "who": label, "arrays": dict(file)}


def _score(runs: list[dict[str, Any]], data: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    best = {"linear": linear.exact(data["linear"]).elbo, "nonlinear": -math.inf}
    evaluators: list[dict[str, Evaluator]] = []
    for run in runs:
        arrays, model = run["arrays"], run["model"]
        prefixes = ("cold_", "warm_") if "warm_z_mean" in arrays else ("",)
        found = {p: Evaluator(model, data[model], arrays, p) for p in prefixes}
        for prefix, evaluator in found.items():
            last = evaluator(len(arrays[prefix + "z_mean"]) - 1)
            best[model] = max(best[model], last)
        evaluators.append(found)
    rows: list[dict[str, Any]] = []
    for run, found in zip(runs, evaluators, strict=True):
        arrays, model = run["arrays"], run["model"]
        target = best[model] - TOLERANCE * ROWS
        ours = "" not in found
        cold, warm = (found["cold_"], found["warm_"]) if ours else (found[""], found[""])
        rows.append(
            {
                "task": run["task"],
                "who": run["who"],
                "best_known_elbo": best[model],
                "final_elbo": warm(len(arrays["warm_z_mean" if ours else "z_mean"]) - 1),
                "cold_seconds": seconds_to_stay(arrays_seconds(arrays, "cold", ours), cold, target),
                "warm_seconds": seconds_to_stay(arrays_seconds(arrays, "warm", ours), warm, target),
                "settings": json.loads(str(arrays["settings"])),
            }
        )
    return rows


def arrays_seconds(arrays: dict[str, np.ndarray], phase: str, ours: bool) -> np.ndarray:
    """Time of each snapshot, as the two kinds of contestants name it."""
    return arrays[f"{phase}_seconds" if ours else f"seconds_{phase}"]


def table(result: dict[str, Any]) -> str:
    """Medians over seeds as a markdown table; the baseline's better rate sets the ratio."""
    lines = [
        "| task | who | cold, s | warm, s | short of best, nats | reached | warm ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in dict.fromkeys(row["task"] for row in result["rows_of_table"]):
        rows = [row for row in result["rows_of_table"] if row["task"] == task]
        medians = {
            who: [r for r in rows if r["who"] == who]
            for who in dict.fromkeys(r["who"] for r in rows)
        }
        ours = float(np.median([r["warm_seconds"] for r in medians["amortis"]]))
        better = min(
            float(np.median([r["warm_seconds"] for r in found]))
            for who, found in medians.items()
            if who != "amortis"
        )
        for who, found in medians.items():
            cold = float(np.median([r["cold_seconds"] for r in found]))
            warm = float(np.median([r["warm_seconds"] for r in found]))
            short = float(np.median([r["best_known_elbo"] - r["final_elbo"] for r in found]))
            reached = sum(math.isfinite(r["warm_seconds"]) for r in found)
            ratio = f"{better / ours:.0f}x" if who == "amortis" else ""
            lines.append(
                f"| {task} | {who} | {_seconds(cold)} | {_seconds(warm)} | {short:.1f} "
                f"| {reached} of {len(found)} | {ratio} |"
            )
    return "\n".join(lines)


def _seconds(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not reached"


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("jax", "numpyro", "equinox", "optax", "torch", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "race.json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=1.0, help="scale of PyTorch's time limits")
    return parser.parse_args()


if __name__ == "__main__":
    main()
