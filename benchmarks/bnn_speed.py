"""Milliseconds per step of the Bayesian neural network: ours, and the same step in eager PyTorch.

    python benchmarks/bnn_speed.py --threads 1 --out results

Each measurement is a process of its own, pinned to as many cores as it has threads; libraries take
turns, so that other work on the machine meets both. The bar: ours takes no longer than PyTorch's.
What we time is `amortis.fit` with `ConstantRate` in blocks of 50 steps, noise, minibatches and all.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

BLOCK = 50
METHODS = ("fvi", "avi")


def ours(method: str, rows: int, width: int, iterations: int) -> dict[str, float | str]:
    """Time blocks of steps of our fit; the first compiles."""
    import jax

    import amortis
    from amortis.experiments.bnn.network import bnn, leaky_relu

    x = np.random.default_rng(0).random((rows, 784), np.float32)
    model = amortis.from_numpyro(bnn(64, (256, 256)), x)
    times: list[tuple[float, float]] = []

    def monitor(progress: amortis.Progress, current: object) -> None:
        times.append((time.perf_counter(), time.process_time()))

    network = amortis.MLP(width, depth=2, skip=False, activation=leaky_relu)
    amortis.fit(
        model,
        key=jax.random.key(0),
        inference=amortis.Table() if method == "fvi" else network,
        gradient=amortis.ClosedFormEntropy(),
        optimiser=amortis.ConstantRate(1e-3, iterations=iterations, batch=1000, block=BLOCK),
        monitor=monitor,
    )
    wall, cpu = 1e3 * np.median(np.diff(np.asarray(times), axis=0), axis=0) / BLOCK
    return {
        "library": f"amortis {amortis.__version__}, jax {jax.__version__}",
        "ms_per_iteration": float(wall),
        "cpu_ms_per_iteration": float(cpu),
    }


def _in_process(command: list[str], threads: int) -> dict[str, float | str]:
    """Run a measurement on the first cores and read its last line."""
    cores = set(range(threads))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # children inherit it; XLA makes as many threads as cores
    try:
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), JAX_PLATFORMS="cpu")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    finally:
        os.sched_setaffinity(0, before)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(options: argparse.Namespace) -> list[dict[str, float | str]]:
    """All measurements; medians over repeats."""
    here = Path(__file__).resolve()
    found: list[dict[str, float | str]] = []
    for method in METHODS:
        shared = ["--method", method, "--rows", str(options.rows), "--width", str(options.width)]
        shared += ["--iterations", str(options.iterations), "--threads", str(options.threads)]
        commands = {
            "amortis": [sys.executable, str(here), "--one", *shared],
            "torch": [sys.executable, str(here.with_name("bnn_torch.py")), *shared],
        }
        commands["torch, all rows"] = [*commands["torch"], "--all-rows"]
        each: dict[str, list[dict[str, float | str]]] = {name: [] for name in commands}
        for _ in range(options.repeats):
            for name, command in commands.items():
                each[name].append(_in_process(command, options.threads))
        for name, runs in each.items():
            medians = {
                key: float(np.median([float(run[key]) for run in runs]))
                for key in ("ms_per_iteration", "cpu_ms_per_iteration")
            }
            found.append({"method": method, "contestant": name, "library": runs[0]["library"]})
            found[-1] |= medians
            print(f"{method:4} {name:16} {medians['ms_per_iteration']:7.1f} ms", flush=True)
    return found


def main() -> None:
    """Compare, or make one measurement of ours."""
    parser = argparse.ArgumentParser(description="Time steps of the Bayesian neural network.")
    parser.add_argument("--one", action="store_true", help="measure ours in this process")
    parser.add_argument("--method", choices=METHODS, default="fvi")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder for bnn_speed.json")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(ours(options.method, options.rows, options.width, options.iterations)))
        return
    found = compare(options)
    if options.out is not None:
        content = {"threads": options.threads, "rows": options.rows, "measured": found}
        (options.out / "bnn_speed.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
