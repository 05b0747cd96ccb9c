"""What factors that move with the globals gain on hierarchical models, and what they cost.

    python benchmarks/conditional.py [TASK ...] [--seeds N] [--out FILE]

For each task the default function with mean-field factors, with `Conditional()` locals, and with
`FullRank()` globals as well: ELBO, sds of the globals beside those by linear response, seconds cold
(in a process of its own) and warm. Data are read from AMORTIS_DATA, by default ../shared/data.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
from racing import models
from racing.data import prepare
from racing.tasks import COUNTIES

import amortis

EIGHT_SCHOOLS = [28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18]


def eight_schools(y, sigma):
    """Effects of coaching in eight schools, Rubin (1981), not centered."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
    with numpyro.plate("schools", y.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mu + tau * z, sigma), obs=y)


FACTORS: dict[str, tuple[Any, Any]] = {
    "mean-field": (amortis.DiagonalNormal(), amortis.DiagonalNormal()),
    "conditional": (amortis.DiagonalNormal(), amortis.Conditional()),
    "conditional, full-rank": (amortis.FullRank(), amortis.Conditional()),
}
TASKS = ("linear5", "linear", "nonlinear", "radon", "eight_schools", "irt")


def bound(name: str) -> amortis.LatentModel:
    """A task's model bound to its data."""
    if name == "linear5":
        x = 2.7 * np.random.default_rng(0).standard_normal(5)
        return amortis.from_numpyro(models.linear, x.astype(np.float32))
    if name == "eight_schools":
        y, sigma = (np.asarray(v, np.float32) for v in EIGHT_SCHOOLS)
        return amortis.from_numpyro(eight_schools, y, sigma)
    settings = {"J": COUNTIES} if name == "radon" else {}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), [name])
        with np.load(Path(folder) / f"{name}.npz") as kept:
            data = {column: kept[column] for column in kept.files}
    return amortis.from_numpyro(getattr(models, name), **data, **settings)


def measured(name: str, factors: str, seed: int) -> dict[str, Any]:
    """Fit twice, and ask the first for its ELBO and sds."""
    model = bound(name)
    globals_, locals_ = FACTORS[factors]
    started = time.perf_counter()
    fitted = amortis.fit(model, key=jax.random.key(seed), globals_=globals_, locals_=locals_)
    cold = time.perf_counter() - started
    started = time.perf_counter()
    amortis.fit(model, key=jax.random.key(seed + 1), globals_=globals_, locals_=locals_)
    warm = time.perf_counter() - started
    elbo = fitted.elbo(key=jax.random.key(7), draws=1024)
    sds = np.asarray(fitted.global_moments()[1]).tolist()
    return {
        "task": name,
        "factors": factors,
        "status": fitted.status.name,
        "function": type(fitted.guide.inference).__name__,
        "parameters": fitted.parameters,
        "elbo": elbo.mean,
        "elbo_se": elbo.se,
        "sds": sds,
        "cold": cold,
        "warm": warm,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/conditional.json"))
    parser.add_argument("--one", help="factors to fit in this process")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.tasks[0], given.one, given.seed)))
        return
    rows = []
    for task in given.tasks:
        for factors in FACTORS:
            command = [sys.executable, __file__, task, "--one", factors, "--seed", str(given.seed)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            row = rows[-1]
            print(
                f"{task:14} {factors:24} {row['function']:12} {row['status']:10} elbo "
                f"{row['elbo']:.2f} ± {row['elbo_se']:.2f}  {row['cold']:.1f}/{row['warm']:.2f} s",
                flush=True,
            )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
