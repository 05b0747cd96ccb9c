"""The numbers that the first issue names: accuracy at many seeds, digits, memory, import time.

    python benchmarks/bars.py --out benchmarks/results/bars.json [--only linear nonlinear ...]

Every number is measured here and printed as a markdown table; docs/benchmarks.md holds the output.
"""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from racing.contestants.ours import moments
from racing.elbos import Gaussian, elbo
from racing.tasks import TASKS
from rows import Row, measure, row

import amortis
from amortis.experiments import digits, linear, nonlinear
from amortis.experiments.comparison import Setting

ROWS, SEEDS = 10_000, 20


def linear_polynomial() -> list[Row]:
    """Linear model, Polynomial(1): ELBO, sd of theta, means of z against the closed form."""
    x = linear.simulate(ROWS, seed=0)
    best, model = linear.exact(x), amortis.from_numpyro(linear.model, x)
    short, sds, z_off, statuses = [], [], [], []
    for seed in range(SEEDS):
        fit = amortis.fit(model, key=jax.random.key(seed), inference=amortis.Polynomial(1))
        short.append(best.elbo - linear.exact_elbo(fit, x))
        sds.append(abs(float(fit.global_moments()[1][0]) / best.theta_sd - 1.0))
        off = (np.asarray(fit.local_moments()[0], float)[:, 0] - best.z_mean) / best.z_sd
        z_off.append(float(np.sqrt(np.mean(np.square(off)))))
        statuses.append(fit.status.name)
    return [
        row(
            "linear, Polynomial(1)", "worst ELBO short of closed form, nats total", max(short), 0.5
        ),
        row("linear, Polynomial(1)", "worst relative error of sd(theta)", max(sds), 0.03),
        row("linear, Polynomial(1)", "worst rms error of z means, posterior sds", max(z_off), 0.01),
        row("linear, Polynomial(1)", "fits not CONVERGED", _unsettled(statuses), 0),
    ]


def linear_table() -> list[Row]:
    """Linear model: F-VI against the closed form, and the constant factor's shortfall."""
    x = linear.simulate(ROWS, seed=0)
    best, model = linear.exact(x), amortis.from_numpyro(linear.model, x)
    gap = best.elbo - best.constant_elbo
    short, off = [], []
    for seed in range(SEEDS):
        key = jax.random.key(seed)
        table = amortis.fit(model, key=key, inference=amortis.Table())
        short.append(best.elbo - linear.exact_elbo(table, x))
        constant = amortis.fit(model, key=key, inference=amortis.Constant())
        off.append(abs((best.elbo - linear.exact_elbo(constant, x)) / gap - 1.0))
    return [
        row("linear, Table", "worst ELBO short of closed form, nats total", max(short), 2.0),
        row("linear, Constant", "worst relative error of its shortfall", max(off), 0.01),
    ]


def nonlinear_widths() -> list[Row]:
    """Nonlinear model, k = 16 and 32, both data laws: worst seed against the best known ELBO."""
    rows: list[Row] = []
    for setting in (Setting.PAPER, Setting.CODE):
        x = nonlinear.simulate(setting, ROWS, seed=0).x
        model = amortis.from_numpyro(nonlinear.model, x)
        reference = amortis.fit(model, key=jax.random.key(0), inference=amortis.Table())
        best, found = _nonlinear_elbo(reference, x), {16: [], 32: []}
        seconds: dict[int, list[float]] = {16: [], 32: []}
        for width, values in found.items():
            for seed in range(SEEDS):
                started = time.perf_counter()
                fit = amortis.fit(model, key=jax.random.key(seed), inference=amortis.MLP(width))
                seconds[width].append(time.perf_counter() - started)
                values.append(_nonlinear_elbo(fit, x))
        best = max(best, *found[16], *found[32])
        for width, values in found.items():
            name = f"nonlinear, data as the {setting.value} has them, k = {width}"
            worst = (best - min(values)) / ROWS
            rows.append(row(name, "worst shortfall of best known, nats per datum", worst, 0.01))
            rows.append(row(name, "fits not finite", sum(not math.isfinite(v) for v in values), 0))
            median = float(np.median(seconds[width]))
            rows.append(row(name, "median seconds to convergence, warm", median, None))
    return rows


def digits_gap() -> list[Row]:
    """Digits: A-VI against F-VI's optimum, which the closed form gives, at several seeds."""
    x = digits.images()
    exact, model = digits.exact_pca(x, digits.LATENTS), amortis.from_numpyro(digits.ppca, x)
    gaps: dict[str, list[float]] = {"F-VI": [], "A-VI, linear": []}
    functions = {"F-VI": amortis.Table(), "A-VI, linear": amortis.Polynomial(1)}
    for seed in range(5):
        for name, values in gaps.items():
            fit = amortis.fit(
                model,
                key=jax.random.key(seed),
                inference=functions[name],
                globals_=amortis.Point(),
            )
            values.append((exact.log_likelihood - digits.exact_elbo(fit, x)) / len(x))
    return [
        row(f"digits, {name}", "worst gap to the exact evidence, nats per datum", max(v), bar)
        for (name, v), bar in zip(gaps.items(), (None, 0.001), strict=True)
    ]


def memory() -> list[Row]:
    """Peak resident memory of a process that fits the linear model to a million rows."""
    code = (
        "import pathlib, jax, numpy as np, amortis; from amortis.experiments import linear;"
        "x = linear.simulate(1_000_000, seed=0).astype(np.float32);"
        "fit = amortis.fit(amortis.from_numpyro(linear.model, x), key=jax.random.key(0),"
        " inference=amortis.Polynomial(1), optimiser=amortis.FreshDraws(batch=4096));"
        "short = linear.exact(x.astype(float)).elbo - linear.exact_elbo(fit, x.astype(float));"
        # Of this program alone: getrusage would count what the parent held when it was started.
        "status = pathlib.Path('/proc/self/status').read_text();"
        "peak = float(status.split('VmHWM:')[1].split()[0]) / 2**20;"
        "print(peak, short / 1e6, fit.history.seconds[-1])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    peak, short, seconds = (float(part) for part in done.stdout.split())
    name = "linear, N = 1 000 000, minibatch 4096"
    return [
        row(name, "peak resident memory, GB", peak, 1.5),
        row(name, "ELBO short of closed form, nats per datum", short, None),
        row(name, "seconds, compilation included", seconds, None),
    ]


def imports() -> list[Row]:
    """Import time of amortis beyond that of numpyro: median of paired fresh processes."""
    code = (
        "import time; a = time.perf_counter(); import numpyro; b = time.perf_counter();"
        "import amortis; print(time.perf_counter() - b)"
    )
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    seconds = [
        float(
            subprocess.run(
                [sys.executable, "-c", code],
                check=True,
                capture_output=True,
                text=True,
                env=environment,
            ).stdout
        )
        for _ in range(7)
    ]
    return [row("import amortis", "seconds beyond numpyro's", float(np.median(seconds)), 0.5)]


MEASUREMENTS: dict[str, Callable[[], list[Row]]] = {
    "linear": linear_polynomial,
    "table": linear_table,
    "nonlinear": nonlinear_widths,
    "digits": digits_gap,
    "memory": memory,
    "imports": imports,
}


def _nonlinear_elbo(fit: amortis.Fit, x: np.ndarray) -> float:
    q = moments(TASKS["nonlinear"], fit)
    return elbo(TASKS["nonlinear"], {"x": x}, Gaussian(q["mean"], q["sd"]))[0]


def _unsettled(statuses: list[str]) -> int:
    return sum(status != "CONVERGED" for status in statuses)


if __name__ == "__main__":
    measure(MEASUREMENTS, Path(__file__).parent / "results" / "bars.json", __doc__)
