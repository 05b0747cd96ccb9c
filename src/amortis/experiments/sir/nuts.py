"""NUTS on the SIR model, by NumPyro."""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
from numpyro.infer import MCMC, NUTS

from amortis.experiments.sir.data import CASES, DAYS
from amortis.experiments.sir.model import sir
from amortis.experiments.sir.quantities import QUANTITIES, of_draws
from amortis.experiments.sir.results import NutsResult

CHAINS, DRAWS = 2, 1000


def run_nuts(key: Key[Array, ""], draws: int = DRAWS) -> NutsResult:
    """Two chains, one after the other.

    Args:
        key: random key.
        draws: per chain, after as many of warm-up.
    """
    started = time.perf_counter()
    mcmc = MCMC(
        NUTS(sir),
        num_warmup=draws,
        num_samples=draws,
        num_chains=CHAINS,
        chain_method="sequential",
        progress_bar=False,
    )
    mcmc.run(key, jnp.asarray(DAYS), jnp.asarray(CASES), extra_fields=("diverging",))
    by_chain = jax.device_get(mcmc.get_samples(group_by_chain=True))
    seconds = time.perf_counter() - started
    flat = {name: np.asarray(v, np.float64).reshape(-1) for name, v in by_chain.items()}
    solved = flat["solved"] > 0.5
    summaries = of_draws({name: flat[name][solved] for name in QUANTITIES})
    sizes = {name: float(effective_sample_size(by_chain[name])) for name in QUANTITIES}
    return NutsResult(
        summaries=summaries,
        mean_errors={n: summaries[n].sd / math.sqrt(sizes[n]) for n in QUANTITIES},
        sd_errors={n: summaries[n].sd / math.sqrt(2.0 * sizes[n]) for n in QUANTITIES},
        r_hat=max(float(split_gelman_rubin(by_chain[n])) for n in ("gamma", "beta", "phi_inv")),
        divergences=int(np.sum(mcmc.get_extra_fields()["diverging"])),
        cold=seconds,
        unsolved=int(np.sum(~solved)),
        draws=len(solved),
    )
