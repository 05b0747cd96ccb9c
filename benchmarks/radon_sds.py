"""What dependence between globals and counties does to the radon regression, and what mends it.

    python benchmarks/radon_sds.py [--draws N] [--out benchmarks/results/radon_sds.json]

Sds of the globals of examples/radon.py on all counties: by quadrature, which is exact (given tau
and sigma the model is a Gaussian regression with county intercepts, and those two are integrated on
a grid), by a long run of NUTS, by a mean-field fit, by linear response of it, and by locals that
move with the globals. Data are read from AMORTIS_DATA, by default ../shared/data.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpyro.diagnostics import effective_sample_size
from numpyro.infer import MCMC, NUTS

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import amortis  # noqa: E402
from amortis.data.read import read_arguments  # noqa: E402
from amortis.fitting import unconstrained_covariance  # noqa: E402
from examples import radon  # noqa: E402

DATA = Path(os.environ.get("AMORTIS_DATA", ROOT.parent / "shared" / "data")) / "hierarchical"
NAMES = ("mu", "gamma", "beta", "tau", "sigma")
PRIOR_VARIANCE = 100.0
CHAINS, WARMUP = 4, 1000


def exact(
    arguments: dict[str, Any], points: int = 41, reach: float = 6.0
) -> dict[str, list[float]]:
    """Means and sds of mu, gamma, beta, log tau and log sigma, by quadrature over the last two."""
    y = np.asarray(arguments["log_radon"], np.float64)
    county = np.asarray(arguments["county_idx"]) - 1
    columns = [np.ones_like(y), arguments["log_uppm"], arguments["floor_measure"]]
    x = np.stack([np.asarray(c, np.float64) for c in columns], axis=1)
    n = np.bincount(county, minlength=arguments["J"]).astype(float)
    xs = np.stack([np.bincount(county, w, minlength=arguments["J"]) for w in x.T], axis=1)
    ys = np.bincount(county, y, minlength=arguments["J"])
    xx, xy, yy = x.T @ x, x.T @ y, y @ y

    def at(log_tau: float, log_sigma: float) -> tuple[float, np.ndarray, np.ndarray]:
        """Log density of both, and moments of the coefficients given them."""
        s2, t2 = np.exp(2 * log_sigma), np.exp(2 * log_tau)
        share = t2 / (s2 + n * t2)  # Woodbury, county by county
        precision = (xx - (xs.T * share) @ xs) / s2 + np.eye(3) / PRIOR_VARIANCE
        linear = (xy - xs.T @ (share * ys)) / s2
        covariance = np.linalg.inv(precision)
        mean = covariance @ linear
        quadratic = (yy - share @ ys**2) / s2 - linear @ mean
        log_det = len(y) * np.log(s2) + np.log1p(n * t2 / s2).sum()
        value = -0.5 * (quadratic + log_det - np.linalg.slogdet(covariance)[1])
        return value - 0.5 * (log_tau**2 + log_sigma**2), mean, covariance

    center, sds = np.asarray([-0.59, -0.078]), np.asarray([0.047, 0.0062])
    axis = np.linspace(-reach, reach, points)
    grid = [center + sds * [a, b] for a in axis for b in axis]
    found = [at(*point) for point in grid]
    values = np.asarray([value for value, _, _ in found])
    weights = np.exp(values - values.max())
    weights /= weights.sum()
    means = np.asarray([np.concatenate([m, p]) for (_, m, _), p in zip(found, grid, strict=True)])
    mean = weights @ means
    variance = weights @ np.square(means - mean)
    variance[:3] += weights @ np.asarray([np.diag(c) for _, _, c in found])
    return {"mean": mean.tolist(), "sd": np.sqrt(variance).tolist()}


def nuts(arguments: dict[str, Any], draws: int) -> dict[str, Any]:
    """A long run, with the effective number of draws of each global."""
    chains = MCMC(
        NUTS(radon.model),
        num_warmup=WARMUP,
        num_samples=draws,
        num_chains=CHAINS,
        chain_method="sequential",
        progress_bar=False,
    )
    started = time.perf_counter()
    chains.run(jax.random.key(0), **arguments)
    kept = {
        n: np.asarray(v, np.float64) for n, v in chains.get_samples(group_by_chain=True).items()
    }
    seconds = time.perf_counter() - started
    every = [np.log(kept[n]) if n in ("tau", "sigma") else kept[n] for n in NAMES]
    return {
        "mean": [float(v.mean()) for v in every],
        "sd": [float(v.std()) for v in every],
        "ess": [float(effective_sample_size(v)) for v in every],
        "seconds": seconds,
        "draws": CHAINS * draws,
    }


def fits(arguments: dict[str, Any]) -> dict[str, Any]:
    """Every choice of factors, cold and warm, with what `diagnose` says of it."""
    model = amortis.from_numpyro(radon.model, **arguments)
    found: dict[str, Any] = {}
    choices: dict[str, dict[str, Any]] = {
        "mean-field": {},
        "conditional": {"locals_": amortis.Conditional()},
        "conditional, full-rank": {
            "locals_": amortis.Conditional(),
            "globals_": amortis.FullRank(),
        },
    }
    for name, choice in choices.items():
        started = time.perf_counter()
        fitted = amortis.fit(model, key=jax.random.key(0), **choice)
        cold = time.perf_counter() - started
        started = time.perf_counter()
        amortis.fit(model, key=jax.random.key(1), **choice)
        warm = time.perf_counter() - started
        mean, sd = (np.asarray(part).tolist() for part in fitted.global_moments())
        diagnosis = amortis.diagnose(fitted, key=jax.random.key(2))
        found[name] = {
            "mean": mean,
            "sd": sd,
            "status": fitted.status.name,
            "elbo": diagnosis.elbo.mean,
            "elbo_se": diagnosis.elbo.se,
            "finding": diagnosis.finding.name,
            "notes": [] if diagnosis.spread is None else diagnosis.spread.notes,
            "cold": cold,
            "warm": warm,
        }
        if name == "mean-field":
            started = time.perf_counter()
            covariance = np.asarray(unconstrained_covariance(fitted), np.float64)
            sds = np.sqrt(np.diag(covariance)).tolist()
            cold = time.perf_counter() - started
            found["linear response"] = {"mean": mean, "sd": sds, "cold": cold}
    return found


def main() -> None:
    """Measure all, print a table, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--draws", type=int, default=10_000, help="of each of the chains")
    default = ROOT / "benchmarks" / "results" / "radon_sds.json"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    arguments, _ = read_arguments(radon.model, DATA / "radon_all.json")
    found = {"exact": exact(arguments), **fits(arguments), "NUTS": nuts(arguments, given.draws)}
    given.out.write_text(json.dumps(found, indent=1))
    reference = np.asarray(found["exact"]["sd"])
    print("| | " + " | ".join(f"sd({n})" for n in NAMES) + " | off, mu, gamma | seconds |")
    print("|---" * 8 + "|")
    for name, row in found.items():
        apart = 100.0 * (np.asarray(row["sd"]) / reference - 1.0)
        off = f"{apart[0]:+.1f} %, {apart[1]:+.1f} %"
        seconds = f"{row.get('cold', row.get('seconds', 0)):.1f}" if name != "exact" else ""
        print(
            f"| {name} | " + " | ".join(f"{s:.4f}" for s in row["sd"]) + f" | {off} | {seconds} |"
        )
    print("\nNUTS, effective draws: " + ", ".join(f"{e:.0f}" for e in found["NUTS"]["ess"]))
    print("mean-field, by diagnose: " + "; ".join(found["mean-field"]["notes"]))


if __name__ == "__main__":
    main()
