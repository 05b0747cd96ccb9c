"""Optimisers side by side: time and iterations to come and stay within 0.01 nats per datum.

    python benchmarks/optimisers.py [--only "linear, Polynomial(1)" ...] [--seeds 5] [--limit 15]

The paper's Adam (`ConstantRate`: all rows, fresh draws at every step) at both of its rates and with
1, 10 and 100 draws, fixed draws that start with 8 (fewer leave none for theta) and with 100, and
what `fit` takes by default, on the linear and the nonlinear model, N = 10 000. Warm: everything is
compiled by a first fit.
A run ends when twenty looks in a row are within the tolerance (the time has grown 2.6 times since
it came), or at the limit. After two seeds that were not there at the limit the others are not run.
"""

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from factors import factors
from racing.elbos import Gaussian, elbo
from racing.tasks import TASKS as RACED
from tracking import TOLERANCE, Track

import amortis
from amortis.data import replacing
from amortis.experiments import linear, nonlinear
from amortis.experiments.comparison import Setting

HERE = Path(__file__).parent
OUT = HERE / "results" / "optimisers.json"
PLOT = HERE.parent / "docs" / "images" / "optimisers.png"
ROWS, PATIENCE, HOPELESS = 10_000, 20, 2

TASKS: dict[str, tuple[str, Any]] = {
    "linear, Polynomial(1)": ("linear", amortis.Polynomial(1)),
    "linear, Table": ("linear", amortis.Table()),
    "nonlinear, MLP(16)": ("nonlinear", amortis.MLP(16)),
    "nonlinear, Table": ("nonlinear", amortis.Table()),
}

_MANY = 10**7
METHODS: dict[str, Any] = {
    "default": None,
    **{f"FixedDraws(draws={s})": amortis.FixedDraws(draws=s) for s in (8, 100)},
    **{
        f"Adam {rate:g}, {s} draw{'s' if s > 1 else ''}": amortis.ConstantRate(
            rate, iterations=_MANY, draws=s
        )
        for rate in (1e-2, 1e-3)
        for s in (1, 10, 100)
    },
}


def main() -> None:
    """Measure, write the JSON and the plot, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(TASKS), default=None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=15.0, help="warm seconds of a run")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--plot", type=Path, default=PLOT)
    options = parser.parse_args()
    names = options.only or list(TASKS)
    rows = [row for name in names for row in _task(name, options.seeds, options.limit)]
    result = {
        "machine": f"{platform.machine()}, 2 cores, CPU",
        "jax": jax.__version__,
        "rows_of_data": ROWS,
        "tolerance": TOLERANCE,
        "limit": options.limit,
        "seeds": options.seeds,
        "runs": rows,
    }
    with replacing(options.out) as file:
        file.write((json.dumps(result, indent=1) + "\n").encode())
    plot(result, options.plot)
    print(table(result))


def _task(name: str, seeds: int, limit: float) -> list[dict[str, Any]]:
    """All runs on one task."""
    kind, function = TASKS[name]
    x = linear.simulate(ROWS, seed=0)
    if kind == "nonlinear":
        x = nonlinear.simulate(Setting.PAPER, ROWS, seed=0).x
    model = amortis.from_numpyro((linear if kind == "linear" else nonlinear).model, x)
    fits = [
        amortis.fit(model, key=jax.random.key(1000 + seed), inference=function)
        for seed in range(seeds)
    ]
    guide = fits[0].guide

    def value(parameters: Any) -> float:
        theta, theta_sd, z, z_sd = factors(guide, parameters)
        mean, sd = (np.concatenate([a, b[:, 0]]) for a, b in ((theta, z), (theta_sd, z_sd)))
        return elbo(RACED[kind], {"x": x}, Gaussian(mean, sd))[0]

    best = max(value(fit.variational) for fit in fits)
    best = linear.exact(x).elbo if kind == "linear" else best
    short = lambda parameters: (best - value(parameters)) / ROWS  # noqa: E731
    rows: list[dict[str, Any]] = []
    for method_name, method in METHODS.items():
        missed = 0
        _compile(model, function, method)
        for seed in range(seeds):
            row = {"task": name, "method": method_name, "seed": seed, "best": best}
            if missed >= HOPELESS and missed == seed:
                rows.append(row | {"run": False, "seconds": None, "iterations": None})
                continue
            found = _run(model, function, method, seed, short, limit)
            missed += found["seconds"] is None
            rows.append(row | found)
        done = [r for r in rows if r["method"] == method_name]
        print(name, method_name, [r["seconds"] for r in done], flush=True)
    return rows


def _compile(model: amortis.LatentModel, function: Any, method: Any) -> None:
    """A short fit with the same programs."""
    stop = Track(lambda _: np.inf, 0.0)
    whole = not isinstance(method, amortis.ConstantRate)
    amortis.fit(
        model,
        key=jax.random.key(99),
        inference=function,
        optimiser=method,
        monitor=None if whole else stop,
    )


def _run(
    model: amortis.LatentModel,
    function: Any,
    method: Any,
    seed: int,
    short: Callable[[Any], float],
    limit: float,
) -> dict[str, Any]:
    track = Track(short, limit, PATIENCE)
    fit = amortis.fit(
        model, key=jax.random.key(seed), inference=function, optimiser=method, monitor=track
    )
    track.finish(fit.variational)
    reached, last = track.reached, track.looks[-1]
    return {
        "run": True,
        "seconds": None if reached is None else reached.seconds,
        "iterations": None if reached is None else reached.iterations,
        "short": last.short if np.isfinite(last.short) else None,
        "status": fit.status.name,
        "path": [[look.seconds, look.iterations, look.short] for look in track.looks],
    }


def table(result: dict[str, Any]) -> str:
    """Median and worst time and iterations over the seeds, and how many were not there."""
    lines = [
        "| task | method | median s | worst s | median iterations | worst | failures | "
        "nats per datum short at the end, worst |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task, method in dict.fromkeys((r["task"], r["method"]) for r in result["runs"]):
        runs = [r for r in result["runs"] if (r["task"], r["method"]) == (task, method)]
        failed = sum(r["seconds"] is None for r in runs)
        asked = sum(r["run"] for r in runs)
        cells = [f"{failed - len(runs) + asked} of {asked}"]
        shorts = [r["short"] for r in runs if r["run"]]
        cells.append("not finite" if None in shorts else f"{max(shorts):.2g}")
        numbers = [
            _median_and_worst([r[entry] for r in runs], digits)
            for entry, digits in (("seconds", 2), ("iterations", 4))
        ]
        cells = [task, method, *numbers[0], *numbers[1], *cells]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _median_and_worst(values: list[float | None], digits: int) -> tuple[str, str]:
    """As text; a seed that failed counts as infinite."""
    every = [np.inf if value is None else value for value in values]
    said = lambda v: f"{v:.{digits}g}" if np.isfinite(v) else "—"  # noqa: E731
    ordered = np.sort(every)
    return said(float(ordered[(len(ordered) - 1) // 2])), said(float(ordered[-1]))


def plot(result: dict[str, Any], out: Path) -> None:
    """Every seed's time to the tolerance, one panel for each task."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    tasks = list(dict.fromkeys(r["task"] for r in result["runs"]))
    methods = [m for m in METHODS if any(r["method"] == m for r in result["runs"])]
    limit = result["limit"]
    figure, panels = plt.subplots(
        1, len(tasks), figsize=(2.2 + 2.6 * len(tasks), 3.6), sharey=True, squeeze=False
    )
    for panel, task in zip(panels[0], tasks, strict=True):
        for height, method in enumerate(reversed(methods)):
            runs = [r for r in result["runs"] if (r["task"], r["method"]) == (task, method)]
            ours = not method.startswith("Adam")
            color = "tab:blue" if ours else "tab:orange"
            times = [r["seconds"] for r in runs if r["seconds"] is not None]
            panel.plot(times, [height] * len(times), "o", color=color, alpha=0.6, ms=5)
            missed = sum(r["seconds"] is None for r in runs)
            if missed:
                panel.plot([limit * 1.6], [height], "x", color=color, ms=6)
                panel.text(limit * 2.0, height, f"{missed}", va="center", fontsize=7)
        panel.axvline(limit, color="0.7", lw=0.8, ls="--")
        panel.set_xscale("log")
        panel.set_xlim(right=limit * 4)
        panel.set_title(task, fontsize=9)
        panel.set_xlabel("seconds, warm", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.grid(axis="x", color="0.9")
    panels[0][0].set_yticks(range(len(methods)), list(reversed(methods)))
    figure.suptitle(
        f"To within {result['tolerance']:g} nats per datum of the best known ELBO, by seed; "
        "× did not get there (how many)",
        fontsize=9,
    )
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130)


if __name__ == "__main__":
    main()
