"""Posterior collapse on models made to collapse, with the plain ELBO, KL annealing and free bits.

python benchmarks/collapse.py [--seeds 3] [--out benchmarks/results/collapse.json]
"""

import argparse
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

import amortis  # noqa: E402

ROWS, STEPS = 400, 6
LEVELS = {
    "tanh(5 z)": (np.sign, lambda z: jnp.tanh(5.0 * z)),
    "(z^2 - 1) / sqrt 2": (
        lambda z: (z**2 - 1.0) / 2**0.5,
        lambda z: (z**2 - 1.0) / 2**0.5,
    ),
}
FITS = {
    "ELBO, fixed draws": {},
    "ELBO, fresh draws": {"optimiser": amortis.FreshDraws()},
    "AnnealedKL(1000)": {"objective": amortis.AnnealedKL(1000)},
    "FreeBits(0.5)": {"objective": amortis.FreeBits(0.5)},
}


def data(level):
    """Series about a level that is drawn for each: x_t = x_{t-1} / 2 + 0.7 level + 0.5 noise."""
    generator = np.random.default_rng(0)
    own = level(generator.normal(size=ROWS))
    x, past = np.zeros((ROWS, STEPS)), np.zeros(ROWS)
    for t in range(STEPS):
        past = 0.5 * past + 0.7 * own + 0.5 * generator.normal(size=ROWS)
        x[:, t] = past
    return x.astype(np.float32)


def model_of(level):
    """Its decoder reads the past of x, and may leave z alone."""

    def model(x):
        flat = dist.constraints
        a = numpyro.sample("a", dist.ImproperUniform(flat.real, (), ()))
        w = numpyro.sample("w", dist.ImproperUniform(flat.real, (), ()))
        s = numpyro.sample("s", dist.ImproperUniform(flat.positive, (), ()))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            past = jnp.concatenate([jnp.zeros((x.shape[0], 1)), x[:, :-1]], axis=1)
            mean = a * past + w * level(z)[..., None]
            numpyro.sample("x", dist.Normal(mean, s).to_event(1), obs=x)

    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = []
    for name, (truth, level) in LEVELS.items():
        bound = amortis.from_numpyro(model_of(level), data(truth))
        for what, choices in FITS.items():
            for seed in range(given.seeds):
                key = jax.random.key(seed)
                fitted = amortis.fit(
                    bound,
                    key=key,
                    globals_=amortis.Point(),
                    inference=amortis.MLP(width=16),
                    **choices,
                )
                collapse = amortis.diagnose(fitted, key=key, draws=32).collapse
                elbo = fitted.elbo(key=key).mean / ROWS
                line = {
                    "level": name,
                    "fit": what,
                    "seed": seed,
                    "elbo": round(elbo, 3),
                    "kl": round(float(collapse.kl[0]), 4),
                    "active": int(collapse.active.sum()),
                    "status": fitted.status.name,
                }
                print(line, flush=True)
                found.append(line)
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
