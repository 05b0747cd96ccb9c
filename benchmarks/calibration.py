"""Whether simulation-based calibration holds where it should and fails where it must.

python benchmarks/calibration.py [--out FILE]
"""

import dataclasses
import statistics
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from rows import Row, measure, row  # noqa: E402

import amortis  # noqa: E402

SEEDS = 100
TAU, SIGMA = 1.155, 2.43


def known(x):
    """The linear model with theta known: z_n ~ N(0, 1), x_n ~ N(tau z_n, sigma^2)."""
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.Normal(TAU * z, SIGMA), obs=x)


def sbc() -> list[Row]:
    """Seeds in which the bands hold: for the exact function, and for guides made wrong."""
    x = (2.69 * np.random.default_rng(0).normal(size=1000)).astype(np.float32)
    bound = amortis.from_numpyro(known, x)
    exact = amortis.fit(bound, key=jax.random.key(0), inference=amortis.Polynomial(1))
    sd = float(np.asarray(exact.moments()["z"][1])[0])

    def moved(mean: float, log_sd: float) -> amortis.Fit:
        raw = exact.variational["locals"]
        shifted = raw.at[0].add(jnp.asarray([mean, log_sd]))
        return dataclasses.replace(exact, variational={**exact.variational, "locals": shifted})

    cases = {
        "exact function": (exact, 10),
        "sd 20 % too small": (moved(0.0, np.log(0.8)), 0),
        "mean 0.3 sd off": (moved(0.3 * sd, 0.0), 0),
        "constant factor": (
            amortis.fit(bound, key=jax.random.key(0), inference=amortis.Constant()),
            None,  # 10 % too narrow, and nothing else: near what 1000 simulations can tell
        ),
    }
    rows, seconds = [], []
    for name, (fitted, most) in cases.items():
        wrong = 0
        for seed in range(SEEDS):
            started = time.perf_counter()
            found = amortis.calibrate(fitted, key=jax.random.key(seed))
            seconds.append(time.perf_counter() - started)
            wrong += found.calibrated != (name == "exact function")
        what = f"SBC, linear, theta known, {name}"
        said = "outside the bands" if name == "exact function" else "called calibrated"
        rows.append(row(what, f"seeds of {SEEDS} {said}", wrong, most))
    warm = statistics.median(seconds[1:])
    rows.append(row("SBC, 1000 simulations", "seconds, cold", seconds[0], None))
    return [*rows, row("SBC, 1000 simulations", "seconds, warm", warm, None)]


if __name__ == "__main__":
    measure({"sbc": sbc}, Path(__file__).parent / "results" / "calibration.json", __doc__)
