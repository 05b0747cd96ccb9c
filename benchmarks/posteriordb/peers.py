"""NUTS and Stan's kind of ADVI on the posteriors, in NumPyro.

    python -m benchmarks.posteriordb.peers [NAME ...] [--who nuts advi] [--out FOLDER] [--x64]

One JSON file per posterior and method. Seconds are of the wall and of the process on all its
cores; warm is a second run, with another key, of what the first has compiled. Data are read from
AMORTIS_DATA, by default ../shared/data. Run from the root of the repository; all of it takes some
ten minutes.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import lax
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal
from numpyro.infer.initialization import init_to_value
from numpyro.infer.util import initialize_model
from numpyro.optim import Adam

from .errors import column, errors
from .models import NAMES
from .read import Posterior, read

CHAINS, WARMUP, DRAWS = 2, 1000, 1000
RATES, PARTICLES = (1e-1, 1e-2, 1e-3), 10
BLOCK, MOST_STEPS, LIMIT = 500, 10_000, 20.0
"""ADVI takes steps by the block until it has Stan's largest number of them, or these seconds."""
JUDGED, KEPT = 1000, 10_000
"""Draws for the final ELBO, and of the fitted posterior."""


def nuts(posterior: Posterior, seed: int) -> dict[str, Any]:
    """Run the chains twice; errors and diagnostics are of the first time.

    They are compiled here: `MCMC.run` by itself compiles anew for every chain and every call.
    """

    @jax.jit
    def run(key: jax.Array) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        chains = MCMC(
            NUTS(posterior.model),
            num_warmup=WARMUP,
            num_samples=DRAWS,
            num_chains=CHAINS,
            chain_method="sequential",
            progress_bar=False,
        )
        chains.run(key, **posterior.data, extra_fields=("num_steps", "diverging"))
        return chains.get_samples(), chains.get_extra_fields()

    (draws, extra), cold = _timed(lambda: jax.device_get(run(jax.random.key(seed))))
    _, warm = _timed(lambda: jax.device_get(run(jax.random.key(seed + 1))))
    by_chain = [column(draws, name).reshape(CHAINS, DRAWS) for name in posterior.parameters]
    return {
        "cold": cold,
        "warm": warm,
        "steps": float(extra["num_steps"].mean()),
        "divergences": int(extra["diverging"].sum()),
        "smallest_ess": float(min(effective_sample_size(x) for x in by_chain)),
        "largest_rhat": float(max(split_gelman_rubin(x) for x in by_chain)),
        **_errors(posterior, draws),
    }


def advi(posterior: Posterior, seed: int) -> dict[str, Any]:
    """Fit at every learning rate; the fit with the best final ELBO is kept."""
    fits = [_advi_at(posterior, rate, seed) for rate in RATES]
    elbos = [fit["elbo"] for fit in fits]
    best = int(np.argmax(np.where(np.isfinite(elbos), elbos, -np.inf)))
    all_cold = sum(fit["cold"]["wall"] for fit in fits)
    return {**fits[best], "all_rates_cold": all_cold, "elbos": dict(zip(RATES, elbos, strict=True))}


def _advi_at(posterior: Posterior, rate: float, seed: int) -> dict[str, Any]:
    """AutoNormal on the unconstrained scale, fitted by Adam.

    It is given the density there and not the model, because it takes a site's support from one
    run: where the support depends on another site, as in garch11, that would be another model.
    """
    info = initialize_model(jax.random.key(seed), posterior.model, model_kwargs=posterior.data)
    start = info.param_info.z

    def density() -> None:
        z = {name: numpyro.sample(name, _flat(value.shape)) for name, value in start.items()}
        with numpyro.handlers.block():  # the model's own sites
            potential = info.potential_fn(z)
        numpyro.factor("log_density", -potential)

    guide = AutoNormal(density, init_loc_fn=init_to_value(values=start))
    svi = SVI(density, guide, Adam(rate), Trace_ELBO(num_particles=PARTICLES))
    walk = jax.jit(lambda state: lax.scan(lambda s, _: svi.stable_update(s), state, length=BLOCK))

    def run(seed: int, blocks: int | None) -> tuple[Any, int]:
        state, taken, begin = svi.init(jax.random.key(seed)), 0, time.perf_counter()
        most = blocks or MOST_STEPS // BLOCK
        while taken < most and (blocks or time.perf_counter() - begin < LIMIT):
            state, _ = jax.block_until_ready(walk(state))
            taken += 1
        return state, taken

    (state, taken), cold = _timed(lambda: run(seed, None))
    _, warm = _timed(lambda: run(seed + 1, taken))
    params = svi.get_params(state)
    judge = jax.jit(lambda key: Trace_ELBO(num_particles=JUDGED).loss(key, params, density, guide))
    z = guide.sample_posterior(jax.random.key(seed + 3), params, sample_shape=(KEPT,))
    return {
        "cold": cold,
        "warm": warm,
        "rate": rate,
        "steps": taken * BLOCK,
        "elbo": -float(judge(jax.random.key(seed + 2))),
        **_errors(posterior, jax.device_get(jax.jit(jax.vmap(info.postprocess_fn))(z))),
    }


def _flat(shape: tuple[int, ...]) -> dist.Distribution:
    support = dist.constraints.independent(dist.constraints.real, len(shape))
    return dist.ImproperUniform(support, (), shape)


def _errors(posterior: Posterior, draws: dict[str, np.ndarray]) -> dict[str, Any]:
    found = errors(posterior, draws)
    return {
        "median_mean_error": found.median_mean,
        "worst_mean_error": found.worst_mean,
        "median_sd_ratio": found.median_sd,
        "mean_errors": dict(zip(posterior.parameters, found.mean.tolist(), strict=True)),
        "sd_ratios": dict(zip(posterior.parameters, found.sd.tolist(), strict=True)),
    }


def _timed(task: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, process = time.perf_counter(), time.process_time()
    result = task()
    spent = {"wall": time.perf_counter() - wall, "process": time.process_time() - process}
    return result, spent


METHODS = {"nuts": nuts, "advi": advi}


def main() -> None:
    """Run what was asked for, and write a file as each is done."""
    options = _options()
    if options.x64:
        numpyro.enable_x64()
    options.out.mkdir(parents=True, exist_ok=True)
    about = {
        "machine": platform.machine(),
        "bits": 64 if options.x64 else 32,
        "versions": {"jax": jax.__version__, "numpyro": numpyro.__version__},
    }
    for name in options.names or NAMES:
        for who in options.who:
            result = {"posterior": name, "method": who, **METHODS[who](read(name), options.seed)}
            file = options.out / f"{name}-{who}.json"
            file.write_text(json.dumps({**result, **about}, indent=1) + "\n")
            print(_line(result), flush=True)


def _line(result: dict[str, Any]) -> str:
    return (
        f"{result['posterior']} {result['method']}: off {result['median_mean_error']:.3f}"
        f" (at most {result['worst_mean_error']:.3f}) sds, sds {result['median_sd_ratio']:.2f}"
        f" of the reference's, {result['cold']['wall']:.1f} s cold,"
        f" {result['warm']['wall']:.1f} s warm"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    results = Path(__file__).parents[1] / "results" / "posteriordb"
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--who", nargs="+", choices=tuple(METHODS), default=list(METHODS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--x64", action="store_true", help="64-bit floats")
    parser.add_argument("--out", type=Path, default=results)
    return parser.parse_args()


if __name__ == "__main__":
    main()
