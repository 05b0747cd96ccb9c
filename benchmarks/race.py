"""The race: amortis, with nothing tuned, against what people use today.

    python benchmarks/race.py [--only linear irt] [--who "PyMC ADVI"] [--seeds 3] [--limit 20]

Every contestant is a process of its own on one core; two run at a time where there are two.
Results of runs are kept in benchmarks/out/race and not run again under the same settings; the
summary is results/race.json. PyMC, pymc-extras and BlackJAX need `make peers-env`, PyTorch
`make bench-env`. All of it takes some sixty minutes.

The machine should be idle. Where it is shared, `--cpu` reads every process's own time in
place of the wall's: they have one core each and wait for nothing (but PyTensor for its compiler).
"""

import argparse
import json
import os
import platform
import queue
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from racing.data import prepare
from racing.field import CONTESTANTS, RATES, Contestant
from racing.launch import one_run, versions
from racing.reference import ensure
from racing.summary import summarize, with_other_tasks
from racing.table import plot, table
from racing.tasks import TASKS, Task

HERE = Path(__file__).parent
Job = tuple[Task, Contestant, float | None, int]


def main() -> None:
    """Run what was asked for and write summary, table and plot."""
    options = _options()
    prepare(options.runs / "data", options.only)
    tasks = [TASKS[name] for name in options.only]
    references = {task.name: ensure(task, options.runs / "data") for task in tasks}
    jobs = _jobs(tasks, options)
    runs = _all(jobs, options)
    summary = summarize(runs, references, options.limit)
    result = {
        "machine": f"{platform.machine()}, one core for each process, {options.cores} at a time",
        "versions": versions(),
        "limit": options.limit,
        "clock": "time of the process" if options.cpu else "wall time",
        "seeds": options.seeds,
        **summary,
    }
    if options.out.exists():
        result = with_other_tasks(result, json.loads(options.out.read_text()))
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    if options.plot:
        plot(result, options.plot)
    print(table(result))


def _jobs(tasks: list[Task], options: argparse.Namespace) -> list[Job]:
    return [
        (task, who, rate, seed)
        for task in tasks
        for who in CONTESTANTS
        if who.name in options.who and who.enters(task)
        for seed in range(options.seeds)
        for rate in who.rates
        if rate is None or rate in options.rates
    ]


def _all(jobs: list[Job], options: argparse.Namespace) -> list[dict[str, Any]]:
    """All runs, each on a core that no other run has."""
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for core in sorted(os.sched_getaffinity(0))[: options.cores]:
        free.put(core)

    def run(job: Job) -> dict[str, Any]:
        core = free.get()
        try:
            result = one_run(*job, options.limit, options.cpu, options.runs, core)
        finally:
            free.put(core)
        task, who, rate, seed = job
        told = result.get("error", "done")
        print(f"{task.name}: {who.name} {rate or ''} seed {seed}: {told}", file=sys.stderr)
        return result

    with ThreadPoolExecutor(options.cores) as pool:
        return list(pool.map(run, jobs))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [who.name for who in CONTESTANTS]
    parser.add_argument("--only", nargs="+", choices=tuple(TASKS), default=list(TASKS))
    parser.add_argument("--who", nargs="+", choices=names, default=names)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES, help="for a dry run")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds of training")
    parser.add_argument("--cpu", action="store_true", help="time of the process, not of the wall")
    parser.add_argument("--cores", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--runs", type=Path, default=HERE / "out" / "race")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "race.json")
    parser.add_argument("--plot", type=Path, default=None, help="PNG; docs/images/race.png")
    return parser.parse_args()


if __name__ == "__main__":
    main()
