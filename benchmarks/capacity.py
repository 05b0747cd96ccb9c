"""Whether `fit(tolerance=)` ends certified: five models, twenty seeds, nothing chosen by the user.

python benchmarks/capacity.py [--only linear saw ...] [--out FILE]
"""

import json
import os
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
from amortis.data.read import read_arguments  # noqa: E402
from amortis.experiments import linear, nonlinear, saw  # noqa: E402
from amortis.experiments.comparison import Setting  # noqa: E402
from examples import radon, science_irt  # noqa: E402

SEEDS, TOLERANCE = 20, 1e-3
DATA = Path(os.environ.get("AMORTIS_DATA", ROOT.parent / "shared" / "data")) / "hierarchical"


def certified(name: str, bound: amortis.LatentModel) -> list[Row]:
    """Seeds that are not certified, the largest gap, sizes that were needed, and seconds."""
    gaps, seconds, sizes, missed = [], [], [], 0
    for seed in range(SEEDS):
        started = time.perf_counter()
        fitted = amortis.fit(bound, key=jax.random.key(seed), tolerance=TOLERANCE)
        seconds.append(time.perf_counter() - started)
        capacity = fitted.capacity
        assert capacity is not None  # a tolerance was asked for
        missed += not capacity.certified
        gaps.append(capacity.steps[-1].gap.mean)
        sizes.append(len(capacity.steps))
    what = f"{name}, default"
    return [
        row(what, f"seeds of {SEEDS} not certified at 1e-3 nats per datum", missed, 0),
        row(what, "largest gap at the end, nats per datum", max(gaps), TOLERANCE),
        row(what, "most sizes tried", max(sizes), None),
        row(
            what,
            "median seconds, warm, the gap's measurement included",
            statistics.median(seconds[1:]),
            None,
        ),
    ]


def of_linear() -> list[Row]:
    x = (np.random.default_rng(0).normal(size=10_000) * 2.69).astype(np.float32)
    return certified("linear", amortis.from_numpyro(linear.model, x))


def of_nonlinear() -> list[Row]:
    x = nonlinear.simulate(nonlinear.Setting.PAPER, 10_000, 0).x
    return certified("nonlinear", amortis.from_numpyro(nonlinear.model, x))


def of_saw() -> list[Row]:
    return certified("saw", amortis.from_numpyro(saw.model, saw.simulate(Setting.PAPER, 1000, 0)))


def of_radon() -> list[Row]:
    arguments, _ = read_arguments(radon.model, DATA / "radon_all.json")
    return certified("radon", amortis.from_numpyro(radon.model, **arguments))


def of_irt() -> list[Row]:
    raw = json.loads((DATA / "science_irt.json").read_text())
    y = np.asarray(raw["y"]).reshape(raw["J"], raw["I"])
    return certified("IRT", amortis.from_numpyro(science_irt.model, y))


MEASUREMENTS = {
    "linear": of_linear,
    "nonlinear": of_nonlinear,
    "saw": of_saw,
    "radon": of_radon,
    "irt": of_irt,
}


if __name__ == "__main__":
    measure(MEASUREMENTS, Path(__file__).parent / "results" / "capacity.json", __doc__)
