"""Whether `diagnose` is right about k-hat, what it costs, and what `refine` and `infer` do.

python benchmarks/diagnose.py [--only k_hat cost refine infer] [--out FILE]
"""

import statistics
import sys
import time
from pathlib import Path

import jax
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from rows import Row, measure, row  # noqa: E402

import amortis  # noqa: E402
from amortis.diagnostics.pareto import pareto_k  # noqa: E402
from amortis.diagnostics.tail_draws import tail_draws, tail_k  # noqa: E402
from amortis.diagnostics.weights import row_log_weights  # noqa: E402
from amortis.experiments import nonlinear  # noqa: E402
from amortis.fitting import independent_noise  # noqa: E402

_SIZE = 10_000


def _nonlinear_fit(width: int, seed: int = 0) -> amortis.Fit:
    data = nonlinear.simulate(nonlinear.Setting.PAPER, _SIZE, 0)
    bound = amortis.from_numpyro(nonlinear.model, data.x)
    return amortis.fit(bound, key=jax.random.key(seed), inference=amortis.MLP(width, skip=False))


def k_hat() -> list[Row]:
    """k-hat of 200 rows as `diagnose` has it beside that on 100 000 draws, and those on others."""
    rows: list[Row] = []
    for width in (2, 16):
        fitted = _nonlinear_fit(width)
        found = amortis.diagnose(fitted, key=jax.random.key(1))
        index = np.linspace(0, _SIZE - 1, 200).astype(int)
        raw = fitted.guide.fitted_raw(fitted.variational, index)
        parts = (fitted.model, fitted.guide, fitted.variational)
        many, others = (
            pareto_k(np.asarray(row_log_weights(*parts, raw, noise, index), np.float64).T)
            for noise in (
                independent_noise(fitted.guide, [seed], [seed + 1], 100_000, 200)
                for seed in (2, 12)
            )
        )
        off = found.row_k[index] - many
        what = f"k-hat of diagnose, nonlinear, k = {width}, 200 rows, beside PSIS on 100 000 draws"
        other_side = np.mean((found.row_k[index] > 0.7) != (many > 0.7))
        of_itself = np.mean((others > 0.7) != (many > 0.7))
        rows += [
            row(what, "share on the other side of 0.7", other_side, 0.05),
            row(what, "the same of 100 000 other draws", of_itself, None),
            row(what, "median difference", np.median(off), None),
            row(what, "rms difference", _rms(off), None),
            row(what, "rms difference of 100 000 other draws", _rms(others - many), None),
        ]
    tail = tail_draws(fitted.guide, [1], 2048)
    raw = fitted.guide.fitted_raw(fitted.variational, None)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        ratios = row_log_weights(*parts, raw, tail.noise, None)
        tail_k(np.asarray(ratios, np.float64).T, tail.mass)
        seconds.append(time.perf_counter() - started)
    what = "k-hat of 10 000 rows on 2048 draws"
    return [*rows, row(what, "seconds, warm", statistics.median(seconds), 10.0)]


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


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
    held_out = amortis.infer(fitted, new[:_SIZE])
    found = amortis.diagnose(fitted, key=jax.random.key(1), held_out=held_out)
    gaps = {"training": found.gap_per_datum.mean, "held-out": found.held_out.gap.mean}
    rows = [
        row("nonlinear, k = 16", f"gap on {name} rows, nats per datum", gap, None)
        for name, gap in gaps.items()
    ]
    return [row("infer, 1 000 000 new rows, k = 16", "seconds, cold", seconds, 3.0), *rows]


MEASUREMENTS = {
    "k_hat": k_hat,
    "cost": cost,
    "refine": refine,
    "infer": infer,
}


if __name__ == "__main__":
    measure(MEASUREMENTS, Path(__file__).parent / "results" / "diagnose.json", __doc__)
