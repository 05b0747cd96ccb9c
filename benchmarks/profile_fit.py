"""Where the time of a fit goes: imports, binding, check, tracing, compilation, draws, log density.

    python benchmarks/profile_fit.py [--only linear radon ...]

Every task is profiled in a process of its own (`profiled.py`): the cold way from the launch to the
first fit, a warm fit beside what its parts cost alone, and what is compiled again when the key, the
data, the restarts, the number of draws or the size of the function change. Then the cold way is
gone twice more with JAX's persistent compilation cache, to write it and to read it, with JAX's own
threshold of a second and with none. Data from AMORTIS_DATA, by default ../shared/data.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
from profiled import TASKS

from amortis.data import replacing

HERE = Path(__file__).parent
OUT = HERE / "results" / "profile_fit.json"

_NO_THRESHOLD = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def main() -> None:
    """Profile, write the JSON, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=None)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    tasks: list[dict[str, Any]] = []
    if options.only and options.out.exists():
        old = json.loads(options.out.read_text())["tasks"]
        tasks = [task for task in old if task["task"] not in options.only]
    for name in options.only or TASKS:
        found = _child(name, {})
        with tempfile.TemporaryDirectory() as cache:
            given = {"JAX_COMPILATION_CACHE_DIR": f"{cache}/second"}
            found["cached, 1 s"] = [_child(name, given, "--cold")["total"] for _ in range(2)]
            given = {"JAX_COMPILATION_CACHE_DIR": f"{cache}/all", **_NO_THRESHOLD}
            found["cached, all"] = [_child(name, given, "--cold")["total"] for _ in range(2)]
            files = [f for f in (Path(cache) / "all").rglob("*") if f.is_file()]
            found["cache_mb"] = sum(f.stat().st_size for f in files) / 2**20
        tasks.append(found)
        print(name, f"cold {found['total']:.1f} s", found["cached, all"], flush=True)
    tasks.sort(key=lambda task: TASKS.index(task["task"]))
    result = {
        "machine": f"{platform.machine()}, 2 cores, CPU",
        "jax": jax.__version__,
        "tasks": tasks,
    }
    with replacing(options.out) as file:
        file.write((json.dumps(result, indent=1) + "\n").encode())
    print("\n\n".join((cold(result), warm(result), again(result), functions(result))))
    print("\n" + cached(result))


def _child(task: str, given: dict[str, str], *more: str) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "profiled.py"), "--task", task, *more]
    # A cache that the user keeps would make the cold runs warm.
    inherited = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    environment = inherited | given
    command += ["--started", repr(time.time())]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{task} failed: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def cold(result: dict[str, Any]) -> str:
    """From the launch of the process to the end of the first fit, in seconds."""
    lines = [
        "| task | all | interpreter, jax | numpyro, equinox | amortis | bind | check | fit | "
        "of it trace | lower | compile | the rest |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for task in result["tasks"]:
        imports, runs = task["imports"], task["runs"]
        spent, fit = runs["fit"]["spent"], runs["fit"]["seconds"]
        cells = [
            task["total"],
            imports["interpreter"] + imports["jax"],
            imports["numpyro"] + imports["equinox"],
            imports["amortis"],
            runs["bind"]["seconds"],
            runs["check"]["seconds"] if "check" in runs else None,
            fit,
            spent["trace"],
            spent["lower"],
            spent["compile"],
            fit - sum(spent.values()),
        ]
        said = " | ".join("" if cell is None else f"{cell:.2f}" for cell in cells)
        lines.append(f"| {task['task']} | {said} |")
    return "\n".join(lines)


def warm(result: dict[str, Any]) -> str:
    """A second fit with another key, beside what its parts cost alone."""
    lines = [
        "| task | warm fit, s | evaluations | blocks | log density and gradient, alone | loss and "
        "gradient, alone | draws | the rest: search, host |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task in result["tasks"]:
        part = task["warm"]
        shares = [
            part["log density and its gradient, alone"],
            part["loss and its gradient, alone"],
            part["noise"],
            part["the rest: search, host"],
        ]
        said = " | ".join(f"{1e3 * share:.3g} ms" for share in shares)
        head = f"| {task['task']} | {part['seconds']:.3g} | {part['evaluations']} "
        lines.append(f"{head}| {part['blocks']} | {said} |")
    return "\n".join(lines)


_COLD = ("bind", "check", "fit")


def again(result: dict[str, Any]) -> str:
    """Number of compilations, and seconds of them, of everything that was run in this order."""
    names = list(dict.fromkeys(n for task in result["tasks"] for n in task["runs"]))
    lines = [
        "| what, in this order | " + " | ".join(t["task"] for t in result["tasks"]) + " |",
        "|---|" + "---|" * len(result["tasks"]),
    ]
    for name in names:
        cells: list[str] = []
        for task in result["tasks"]:
            run = task["runs"].get(name)
            said = "" if run is None else f"{run['count']}"
            if run and run["count"]:
                said += f" ({run['spent']['compile']:.2g} s)"
            cells.append(said)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def functions(result: dict[str, Any]) -> str:
    """What is compiled after the first fit, by the function's name."""
    lines = ["| what | task | compiled again |", "|---|---|---|"]
    for task in result["tasks"]:
        for name, run in task["runs"].items():
            if name in _COLD or not run["count"]:
                continue
            costly = sorted(run["costly"].items(), key=lambda item: -item[1])
            said = [f"`{f}` × {run['compiled'][f]} ({s:.2g} s)" for f, s in costly[:6]]
            more = len(costly) - len(said)
            tail = f", {more} more" if more else ""
            lines.append(f"| {name} | {task['task']} | {', '.join(said)}{tail} |")
    return "\n".join(lines)


def cached(result: dict[str, Any]) -> str:
    """The cold way without and with JAX's persistent compilation cache."""
    lines = [
        "| task | cold s, no cache | with the cache, threshold 1 s: first, second | threshold 0: "
        "first, second | MB on disk |",
        "|---|---|---|---|---|",
    ]
    for task in result["tasks"]:
        pairs = [task["cached, 1 s"], task["cached, all"]]
        said = " | ".join(f"{a:.1f}, {b:.1f}" for a, b in pairs)
        lines.append(f"| {task['task']} | {task['total']:.1f} | {said} | {task['cache_mb']:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
