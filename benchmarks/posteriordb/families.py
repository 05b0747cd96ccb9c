"""Every family of q on the posteriors, and the one that `select_family` would choose.

    python -m benchmarks.posteriordb.families [NAME ...] [--who FullRank Flow ...] [--out FOLDER]

One JSON file per posterior and family, with the errors of means and sds, k-hat, what `diagnose`
says, and seconds: cold is the first fit in a process, warm the second with another key. Data are
read from AMORTIS_DATA, by default ../shared/data. Run from the root of the repository; every
posterior is fitted in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import amortis

from .errors import errors
from .models import NAMES
from .read import Posterior, read

FAMILIES: dict[str, Callable[[], Any]] = {
    "mean-field": amortis.DiagonalNormal,
    "full-rank": amortis.FullRank,
    "low-rank": lambda: amortis.LowRank(2),
    "mixture": lambda: amortis.Mixture(3),
    "flow": amortis.Flow,
    "laplace": amortis.Laplace,
    "pathfinder": amortis.Pathfinder,
    "batch-and-match": amortis.BatchAndMatch,
}
CHOSEN_FROM = ("mean-field", "full-rank", "flow")
"""What `select_family` tries by default, in this order."""

DRAWS = 20_000


def measured(posterior: Posterior, model: amortis.LatentModel, who: str, seed: int) -> Any:
    """Fit twice, diagnose the first, and hold its draws against the reference."""
    started = time.perf_counter()
    try:
        fitted = amortis.fit(model, key=jax.random.key(seed), globals_=FAMILIES[who]())
    except amortis.AmortisError as error:
        return {"failure": str(error), "cold": time.perf_counter() - started}
    cold = time.perf_counter() - started
    started = time.perf_counter()
    amortis.fit(model, key=jax.random.key(seed + 1), globals_=FAMILIES[who]())
    warm = time.perf_counter() - started
    started = time.perf_counter()
    found = amortis.diagnose(fitted, key=jax.random.key(seed + 2), draws=1000)
    diagnosed = time.perf_counter() - started
    draws = fitted.posterior(key=jax.random.key(seed + 3), draws=DRAWS)
    off = errors(posterior, draws)
    return {
        "status": fitted.status.name,
        "cold": cold,
        "warm": warm,
        "diagnose": diagnosed,
        "elbo": found.elbo.mean,
        "elbo_se": found.elbo.se,
        "k": found.global_k,
        "weight_variance": found.weight_variance,
        "finding": found.finding.name,
        "trusted": found.trusted,
        "notes": [] if found.spread is None else found.spread.notes,
        "missed": [str(mode) for mode in found.missed],
        "mean_errors": off.mean.tolist(),
        "sd_ratios": off.sd.tolist(),
        "parameters": list(posterior.parameters),
    }


def _one(name: str, who: list[str], seed: int, out: Path) -> None:
    posterior = read(name)
    started = time.perf_counter()
    model = amortis.from_numpyro(posterior.model, local=amortis.Locals.NONE, **posterior.data)
    bound = time.perf_counter() - started
    for each in who:
        found = measured(posterior, model, each, seed) | {"bind": bound, "seed": seed}
        (out / f"{name}-{each}.json").write_text(json.dumps(found, indent=1))
        print(_line(name, each, found), flush=True)


def _line(name: str, who: str, found: dict[str, Any]) -> str:
    if "failure" in found:
        return f"{name:28} {who:16} failed: {found['failure'][:80]}"
    off, ratios = np.abs(found["mean_errors"]), np.asarray(found["sd_ratios"])
    parts = (
        f"{name:28} {who:16} error {np.median(off):.3f}/{off.max():.3f}",
        f"sds {np.median(ratios):.2f} [{ratios.min():.2f}, {ratios.max():.2f}]",
        f"k {found['k']:.2f}  elbo {found['elbo']:.2f}",
        f"{found['cold']:.1f}/{found['warm']:.1f} s",
        "trust" if found["trusted"] else found["finding"],
    )
    return "  ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--who", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/posteriordb"))
    parser.add_argument("--here", action="store_true", help="in this process")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        if given.here:
            _one(name, given.who, given.seed, given.out)
            continue
        asked = [name, "--who", *given.who, "--seed", str(given.seed), "--out", str(given.out)]
        command = [sys.executable, "-m", "benchmarks.posteriordb.families", *asked, "--here"]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
