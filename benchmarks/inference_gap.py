"""The inference gap beside its exact terms, where the decoder is linear, on old and new rows.

python benchmarks/inference_gap.py [--rows 200] [--only PPCA] [--keys 40] [--out FILE]

The sum of the terms less the whole is what two estimates of the encoder's ELBO differ by, on draws
of their own; with how many keys it is beyond two of its standard errors is counted too.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

import amortis  # noqa: E402
from amortis.evidence.held import held  # noqa: E402
from amortis.evidence.paired_elbos import elbo_term, paired_elbos  # noqa: E402
from tests.exact_models import gaussian, ppca  # noqa: E402


def linear_decoder(x, loadings, noise):
    """The same model as PPCA with the loadings given: its posteriors are correlated."""
    latents = loadings.shape[1]
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(latents), 1.0).to_event(1))
        numpyro.sample("x", dist.Normal(z @ loadings.T, noise).to_event(1), obs=x)


def exact_terms(x, loadings, mean, noise, raw):
    """log p, the family gap of diagonal factors, and the amortization gap, by row, in nats."""
    centered = x - mean
    covariance = loadings @ loadings.T + noise**2 * np.eye(x.shape[1])
    square = np.sum(centered * np.linalg.solve(covariance, centered.T).T, axis=1)
    log_det = np.linalg.slogdet(2.0 * math.pi * covariance)[1]
    means, precision = ppca.posterior(x, loadings, mean, noise)
    family = gaussian.mean_field_gap(precision)
    at, log_sd = np.split(np.asarray(raw, np.float64), 2, axis=1)
    pairs = zip(at, np.exp(2.0 * log_sd), means, strict=True)
    whole = np.array([gaussian.kl_of_diagonal(m, v, own, precision) for m, v, own in pairs])
    return -0.5 * (log_det + square), family, whole - family


def beside_exact(name, fitted, theta, x, rows, seed):
    """Measure one fit on its data, print both, and return the numbers."""
    started = time.perf_counter()
    gap = amortis.inference_gap(fitted, key=jax.random.key(seed), rows=rows)
    seconds = time.perf_counter() - started
    raw = np.asarray(fitted.guide.fitted_raw(fitted.variational, None))[gap.index]
    evidence, family, amortization = exact_terms(x[gap.index], *theta, raw)
    wanted = [0.0, 0.0, family, float(amortization.mean())]
    print(f"\n{name}: {len(gap.index)} rows, {seconds:.0f} s\n{gap}")
    lines = [("log p", gap.log_evidence.rows.mean(), float(evidence.mean()))]
    lines += [(t.name, t.rows.mean(), w) for t, w in zip(gap.terms, wanted, strict=True)]
    for what, found, exact in lines:
        print(f"  {what:40} {found:10.4f}  exact {exact:10.4f}  error {found - exact:+.4f}")
    errors = {what: float(found - exact) for what, found, exact in lines}
    worst = float(np.abs(gap.log_evidence.rows - evidence).max())
    print(f"  largest error of log p of a row: {worst:.4f}")
    within = abs(gap.closure.mean) <= 2.0 * gap.closure.se
    print(f"  the terms add up within two standard errors: {within}")
    return {
        "name": name,
        "seconds": round(seconds, 1),
        "errors": errors,
        "worst_row_log_p": worst,
        "adds_up": bool(within),
        **gap.to_dict(),
    }


def closures(fitted, keys):
    """The sum of the terms less the whole in its standard errors, once for every key."""
    rows, found = held(fitted, None), []
    for seed in range(keys):
        apart, shared = jax.random.split(jax.random.key(1000 + seed))
        pairs = elbo_term("encoder", *paired_elbos([rows], shared, 1024)).mean
        whole = amortis.ImportanceSampling(1000).weigh(rows, apart)
        se = math.hypot(pairs.se, float(np.linalg.norm(whole.mean_log_ses)) / len(rows.index))
        found.append((float(whole.mean_log.mean()) - pairs.mean) / se)
    beyond = float(np.mean(np.abs(found) > 2.0))
    print(f"  over {keys} keys: sd {np.std(found, ddof=1):.2f}, beyond two: {beyond:.3f}")
    return {"keys": keys, "mean": np.mean(found), "sd": np.std(found, ddof=1), "beyond_two": beyond}


def cases(rows):
    """Fits on linear decoders with known and with estimated weights."""
    for columns, latents in ((6, 3), (40, 20)):
        generator = np.random.default_rng(latents)
        loadings = 0.8 * generator.normal(size=(columns, latents))
        z = generator.normal(size=(2 * rows, latents))
        x = z @ loadings.T + generator.normal(size=(2 * rows, columns))
        old, new = x[:rows].astype(np.float32), x[rows:].astype(np.float32)
        given = (jnp.asarray(loadings, jnp.float32), np.float32(1.0))
        theta = (loadings, np.zeros(columns), 1.0)
        key = jax.random.key(latents)
        few = amortis.MLP(width=8, skip=False)  # so narrow that it is not ideal
        fitted = amortis.fit(
            amortis.from_numpyro(linear_decoder, old, *given), key=key, inference=few
        )
        name = f"linear decoder, {latents} latents, {columns} columns"
        yield f"{name}, fitted rows", fitted, theta, old
        yield f"{name}, new rows", amortis.infer(fitted, new, *given), theta, new
    x = ppca.example(2 * rows, 10, 4).astype(np.float32)
    bound = amortis.from_numpyro(ppca.model, x[:rows], 4)
    fitted = amortis.fit(
        bound, key=jax.random.key(1), globals_=amortis.Point(), inference=amortis.MLP(8, skip=False)
    )
    moments = fitted.moments()
    theta = tuple(np.asarray(moments[name][0], np.float64) for name in ("W", "mu", "s"))
    yield "PPCA, 4 latents, 10 columns, fitted rows", fitted, theta, x[:rows]
    yield (
        "PPCA, 4 latents, 10 columns, new rows",
        amortis.infer(fitted, x[rows:], 4),
        theta,
        x[rows:],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--keys", type=int, default=40, help="for what noise does to the sums")
    parser.add_argument("--out", type=Path, help="what it holds of other cases is kept")
    given = parser.parse_args()
    known = []
    if given.out is not None and given.out.exists():
        known = json.loads(given.out.read_text())
    for i, (name, fitted, theta, x) in enumerate(cases(given.rows)):
        if name.startswith(given.only):
            found = beside_exact(name, fitted, theta, x, None, 100 + i)
            found["closures"] = closures(fitted, given.keys)
            known = [case for case in known if case["name"] != name] + [found]
    if given.out is not None:
        given.out.write_text(json.dumps(known, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
