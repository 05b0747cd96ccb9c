"""Whether `diagnose` is right: coverage of the gap, k-hat against many draws, and what it costs.

python benchmarks/diagnose.py [--only coverage k_hat cost refine infer] [--out FILE]
"""

import statistics
import sys
import time
from pathlib import Path

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from rows import Row, measure, row  # noqa: E402

import amortis  # noqa: E402
from amortis.diagnostics.pareto import pareto_k  # noqa: E402
from amortis.diagnostics.weights import row_log_weights  # noqa: E402
from amortis.experiments import linear, nonlinear  # noqa: E402
from amortis.fitting import independent_noise  # noqa: E402

_SEEDS, _SIZE = 100, 10_000


def two_columns(u, v):
    """z_n ~ N(0, 1), u_n ~ N(z_n, 1), v_n ~ N(z_n, 1)."""
    with numpyro.plate("rows", u.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("u", dist.Normal(z, 1.0), obs=u)
        numpyro.sample("v", dist.Normal(z, 1.0), obs=v)


def coverage() -> list[Row]:
    """How often 95 % intervals of the gap miss it, over seeds, where it is known."""
    missed = {"constant": 0, "few draws, constant": 0, "columns": 0}
    for seed in range(_SEEDS):
        generator = np.random.default_rng(seed)
        x = (generator.normal(size=300) * 2.69).astype(np.float32)
        bound = amortis.from_numpyro(linear.model, x)
        fitted = amortis.fit(bound, key=jax.random.key(seed), inference=amortis.Constant())
        exact = _constant_gap(fitted, x)
        for name, draws in (("constant", 128), ("few draws, constant", 8)):
            found = amortis.diagnose(fitted, key=jax.random.key(1000 + seed), draws=draws)
            missed[name] += not _covers(found.gap, exact)
        u, v = (generator.normal(size=300) + generator.normal(size=(2, 300))).astype(np.float32)
        whole = amortis.from_numpyro(two_columns, u, v)
        fitted = amortis.fit(whole, key=jax.random.key(seed), inference=amortis.Constant())
        mean, sd = (np.asarray(m, np.float64) for m in fitted.moments()["z"])
        variance = 3.0 * sd**2
        exact = 0.5 * np.sum(3.0 * (mean - (u + v) / 3.0) ** 2 + variance - 1.0 - np.log(variance))
        found = amortis.diagnose(fitted, key=jax.random.key(2000 + seed))
        missed["columns"] += not _covers(found.gap, exact)
    return [
        row(f"gap known, {name}", "95 % intervals of 100 that miss", count, 10)
        for name, count in missed.items()
    ]


def _constant_gap(fitted: amortis.Fit, x: np.ndarray) -> float:
    """Of the fitted factors, not of the ideal constant: with q(theta) as it is."""
    tau, sigma = 1.155, 2.43
    (theta, _), (mean, sd) = fitted.moments()["theta"], fitted.moments()["z"]
    precision = (sigma**2 + tau**2) / sigma**2
    own = tau * (x.astype(np.float64) - float(theta)) / (sigma**2 + tau**2)
    variance = precision * np.asarray(sd, np.float64) ** 2
    shift = np.asarray(mean, np.float64) - own
    return float(0.5 * np.sum(precision * shift**2 + variance - 1.0 - np.log(variance)))


def _covers(gap: amortis.Estimate, exact: float) -> bool:
    # Besides the noise of the draws there is rounding, in 32 bit a few units of the total.
    return abs(gap.mean - exact) <= 1.96 * gap.se + 1e-5 * max(abs(exact), 1.0)


def _nonlinear_fit(width: int, seed: int = 0) -> amortis.Fit:
    data = nonlinear.simulate(nonlinear.Setting.PAPER, _SIZE, 0)
    bound = amortis.from_numpyro(nonlinear.model, data.x)
    return amortis.fit(bound, key=jax.random.key(seed), inference=amortis.MLP(width, skip=False))


def k_hat() -> list[Row]:
    """k-hat of 200 rows on 1000 draws beside that on 100 000."""
    fitted = _nonlinear_fit(2)
    found = amortis.diagnose(fitted, key=jax.random.key(1))
    index = np.linspace(0, _SIZE - 1, 200).astype(int)
    raw = fitted.guide.fitted_raw(fitted.variational, index)
    noise = independent_noise(fitted.guide, [2], [3], 100_000, 200)
    parts = (fitted.model, fitted.guide, fitted.variational)
    many = pareto_k(np.asarray(row_log_weights(*parts, raw, noise, index), np.float64).T)
    off = found.row_k[index] - many
    agree = np.mean((found.row_k[index] > 0.7) == (many > 0.7))
    return [
        row(
            "k-hat, 200 rows, 1000 draws beside 100 000", "median difference", np.median(off), None
        ),
        row(
            "k-hat, 200 rows, 1000 draws beside 100 000",
            "rms difference",
            np.sqrt(np.mean(off**2)),
            None,
        ),
        row(
            "k-hat, 200 rows, 1000 draws beside 100 000",
            "share on the other side of 0.7",
            1 - agree,
            0.05,
        ),
    ]


def cost() -> list[Row]:
    """Seconds of `diagnose` beside those of the fit, warm and cold, nonlinear N = 10 000."""
    taken: dict[str, list[float]] = {"fit": [], "diagnose": []}
    for seed in range(6):
        started = time.perf_counter()
        fitted = _nonlinear_fit(16, seed)
        middle = time.perf_counter()
        amortis.diagnose(fitted, key=jax.random.key(seed))
        taken["fit"].append(middle - started)
        taken["diagnose"].append(time.perf_counter() - middle)
    warm = {name: statistics.median(values[1:]) for name, values in taken.items()}
    what = "nonlinear, N = 10 000, k = 16"
    return [
        row(
            what, "seconds of diagnose over those of fit, warm", warm["diagnose"] / warm["fit"], 1.0
        ),
        row(
            what,
            "seconds of diagnose over those of fit, cold",
            taken["diagnose"][0] / taken["fit"][0],
            1.0,
        ),
        row(what, "seconds of diagnose, warm", warm["diagnose"], None),
    ]


def refine() -> list[Row]:
    """Refined k = 16 beside F-VI from ten random starts: nats that F-VI is ahead."""
    fitted = _nonlinear_fit(16)
    started = time.perf_counter()
    refined = amortis.refine(fitted, key=jax.random.key(0))
    seconds = time.perf_counter() - started
    key = jax.random.key(9)
    best = max(
        amortis.fit(fitted.model, key=jax.random.key(seed), inference=amortis.Table())
        .elbo(key=key, draws=2000)
        .mean
        for seed in range(10)
    )
    ahead = best - refined.elbo(key=key, draws=2000).mean
    return [
        row("nonlinear, refined k = 16", "nats that the best of 10 F-VI fits is ahead", ahead, 0.5),
        row("nonlinear, refined k = 16", "seconds, cold", seconds, 10.0),
    ]


def infer() -> list[Row]:
    """Seconds for a million new rows, and the gap on held-out rows beside that on training's."""
    fitted = _nonlinear_fit(16)
    new = nonlinear.simulate(nonlinear.Setting.PAPER, 1_000_000, 5).x.astype(np.float32)
    started = time.perf_counter()
    mean, _ = amortis.infer(fitted, new).local_moments()
    jax.block_until_ready(mean)
    seconds = time.perf_counter() - started
    gaps = {
        "training": amortis.diagnose(fitted, key=jax.random.key(1)).gap_per_datum.mean,
        "held-out": amortis.diagnose(
            amortis.infer(fitted, new[:_SIZE]), key=jax.random.key(1)
        ).gap_per_datum.mean,
    }
    rows = [
        row("nonlinear, k = 16", f"gap on {name} rows, nats per datum", gap, None)
        for name, gap in gaps.items()
    ]
    return [row("infer, 1 000 000 new rows, k = 16", "seconds, cold", seconds, 3.0), *rows]


MEASUREMENTS = {
    "coverage": coverage,
    "k_hat": k_hat,
    "cost": cost,
    "refine": refine,
    "infer": infer,
}


if __name__ == "__main__":
    measure(MEASUREMENTS, Path(__file__).parent / "results" / "diagnose.json", __doc__)
