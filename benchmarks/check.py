"""The bars of `check` and of what `fit` makes of its verdict, on real data.

    python benchmarks/check.py [--only times radon irt] [--out benchmarks/results/check.json]

Times are of fresh processes, compilation included. Data are read from AMORTIS_DATA, by default
../shared/data beside the project.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpyro.infer import MCMC, NUTS

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from rows import Row, measure, row  # noqa: E402

import amortis  # noqa: E402
from amortis.data.read import read_arguments  # noqa: E402
from examples import election88, radon, science_irt  # noqa: E402

DATA = Path(os.environ.get("AMORTIS_DATA", ROOT.parent / "shared" / "data")) / "hierarchical"

PREPARE = """
import sys, time; sys.path.insert(0, {root!r})
import jax, jax.numpy as jnp, numpy as np, numpyro, numpyro.distributions as dist, amortis, json
from numpyro.contrib.control_flow import scan
from amortis.data.read import read_arguments
from examples import radon, election88, science_irt, eight_schools
from amortis.experiments import linear
def chain(x):
    sd = numpyro.sample("sd", dist.HalfNormal(1.0))
    def step(before, x_n):
        z = numpyro.sample("z", dist.Normal(before, sd))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x_n)
        return z, None
    scan(step, 0.0, x)
jnp.zeros(3).sum().block_until_ready()
{setup}
started = time.perf_counter()
verdict = amortis.check({call})
print(verdict.kind.name, time.perf_counter() - started)
"""

CASES: dict[str, tuple[str, str, str, float]] = {
    "linear, N = 1 000 000": (
        "x = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)",
        "linear.model, x",
        "POINTWISE",
        3.0,
    ),
    "chain by scan, N = 2000": (
        "x = np.random.default_rng(0).normal(size=2000).astype(np.float32)",
        "chain, x",
        "COUPLED",
        5.0,
    ),
    "radon": (
        "a, _ = read_arguments(radon.model, {data!r} + '/radon_all.json')",
        "radon.model, **a",
        "GROUPED",
        10.0,
    ),
    "election88": (
        "a, _ = read_arguments(election88.model, {data!r} + '/election88.json')",
        "election88.model, **a",
        "GROUPED",
        10.0,
    ),
    "science_irt": (
        "d = json.load(open({data!r} + '/science_irt.json'));"
        "y = np.asarray(d['y']).reshape(d['J'], d['I'])",
        "science_irt.model, y",
        "POINTWISE",
        10.0,
    ),
    "eight schools": (
        "",
        "eight_schools.model, eight_schools.Y, eight_schools.SIGMA",
        "POINTWISE",
        10.0,
    ),
    "eight schools, sigma inside": ("", "eight_schools.hidden, eight_schools.Y", "HIDDEN", 10.0),
}


def times() -> list[Row]:
    """Seconds of `check` in fresh processes: the median of three."""
    rows = []
    for name, (setup, call, kind, bar) in CASES.items():
        code = PREPARE.format(root=str(ROOT), setup=setup.format(data=str(DATA)), call=call)
        seconds = []
        for _ in range(3):
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code],
                check=True,
                capture_output=True,
                text=True,
            )
            found, taken = done.stdout.split()
            if found != kind:
                raise SystemExit(f"{name}: {found}, expected {kind}")
            seconds.append(float(taken))
        rows.append(row(f"check, {name}", "seconds, cold", statistics.median(seconds), bar))
    return rows


def radon_fits() -> list[Row]:
    """A-VI beside F-VI on the radon data: ELBO, numbers, seconds, and globals beside NUTS."""
    arguments, _ = read_arguments(radon.model, DATA / "radon_all.json")
    bound = amortis.from_numpyro(radon.model, **arguments)
    fits, seconds = _timed(
        bound, {"A-VI": amortis.SetNetwork(width=0), "F-VI": amortis.Table()}, repeats=5
    )
    elbo = {name: float(f.elbo(key=jax.random.key(9), draws=4000).mean) for name, f in fits.items()}
    globals_ = 2 * len(bound.globals_)
    numbers = {name: f.parameters - globals_ for name, f in fits.items()}
    chosen = amortis.fit(bound, key=jax.random.key(0))
    ahead = elbo["A-VI"] - elbo["F-VI"]
    share = numbers["A-VI"] / numbers["F-VI"]
    ratio = seconds["A-VI"] / seconds["F-VI"]
    width = float(chosen.guide.inference.width)
    off = _off(fits["A-VI"], arguments)
    return [
        row("radon", "shortfall of A-VI's ELBO to F-VI's, nats total", -ahead, 0.5),
        row("radon", "local numbers of A-VI over those of F-VI", share, 0.1),
        row("radon", "seconds of A-VI over those of F-VI, warm", ratio, 1.0),
        row("radon", "seconds of A-VI, warm", seconds["A-VI"], None),
        row("radon", "hidden units of the set network that fit chooses", width, None),
        row("radon", "globals off NUTS means, worst, sds", off, 0.1),
    ]


def _timed(
    bound: amortis.LatentModel, functions: dict[str, Any], repeats: int
) -> tuple[dict[str, amortis.Fit], dict[str, float]]:
    """Fits in turn; the last ones, and median seconds without the first, which compiles."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    fits = {}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            fits[name] = amortis.fit(bound, key=jax.random.key(repeat), inference=function)
            if repeat:
                taken[name].append(time.perf_counter() - started)
    return fits, {name: statistics.median(values) for name, values in taken.items()}


def _off(fitted: amortis.Fit, arguments: dict[str, Any]) -> float:
    """Largest distance of a global's unconstrained mean from NUTS's, in NUTS's sds."""
    kernel = MCMC(NUTS(radon.model), num_warmup=1000, num_samples=2000, progress_bar=False)
    kernel.run(jax.random.key(0), **arguments)
    draws = kernel.get_samples()
    mean, _ = fitted.global_moments()
    names = list(fitted.model.globals_)
    worst = 0.0
    for name, value in zip(names, np.asarray(mean), strict=True):
        sampled = np.asarray(draws[name])
        sampled = np.log(sampled) if name in ("tau", "sigma") else sampled
        worst = max(worst, abs(float(value) - sampled.mean()) / sampled.std())
    return worst


def irt() -> list[Row]:
    """The gap of the function that `fit` chooses to a table, on the same draws."""
    raw = json.loads((DATA / "science_irt.json").read_text())
    y = np.asarray(raw["y"]).reshape(raw["J"], raw["I"])
    bound = amortis.from_numpyro(science_irt.model, y)
    fits = {
        name: amortis.fit(bound, key=jax.random.key(0), inference=function)
        for name, function in {"A-VI": None, "F-VI": amortis.Table()}.items()
    }
    values = {n: f.elbo(key=jax.random.key(9), draws=20_000) for n, f in fits.items()}
    gap = (values["F-VI"].mean - values["A-VI"].mean) / bound.size
    error = (values["F-VI"].se ** 2 + values["A-VI"].se ** 2) ** 0.5 / bound.size
    return [
        row("IRT", "gap of A-VI to F-VI, nats per datum", float(gap), 0.002),
        row("IRT", "standard error of that, unpaired", float(error), None),
    ]


def election() -> list[Row]:
    """What potentials alone leave, where the likelihood is not Gaussian."""
    arguments, _ = read_arguments(election88.model, DATA / "election88.json")
    bound = amortis.from_numpyro(election88.model, **arguments)
    functions = {"width 0": amortis.SetNetwork(width=0), "width 4": amortis.SetNetwork(width=4)}
    table_ = amortis.fit(bound, key=jax.random.key(0), inference=amortis.Table())
    best = table_.elbo(key=jax.random.key(9), draws=4000).mean
    rows = []
    for name, function in functions.items():
        fitted = amortis.fit(bound, key=jax.random.key(0), inference=function)
        short = best - fitted.elbo(key=jax.random.key(9), draws=4000).mean
        rows.append(row("election88", f"gap of {name}, nats total", float(short), None))
    return rows


MEASUREMENTS: dict[str, Callable[[], list[Row]]] = {
    "times": times,
    "radon": radon_fits,
    "irt": irt,
    "election": election,
}


if __name__ == "__main__":
    measure(MEASUREMENTS, Path(__file__).parent / "results" / "check.json", __doc__)
