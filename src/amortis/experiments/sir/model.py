r"""The SIR model with negative binomial counts, in NumPyro.

$dS = -\beta SI/N$, $dI = \beta SI/N - \gamma I$, $dR = \gamma I$ from (N - 1, 1, 0) at t = 0;
$\beta\sim N^+(2, 1)$, $\gamma\sim N^+(0.4, 0.5)$, $\phi^{-1}\sim \mathrm{Exp}(5)$;
$\text{cases}_t\sim\text{NegBin}(\text{mean } I(t), \text{variance } I + I^2/\phi)$.
NumPyro's bijections take all three to their logarithms.
"""

from typing import Any

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Int

import amortis
from amortis.experiments.sir.data import CASES, DAYS
from amortis.experiments.sir.epidemic import log_infected

Counts = Int[Array, " rows"]


def sir(day: Counts, cases: Counts) -> None:
    """Boys in bed on some days.

    The equations are solved for all days, whichever are given, so that rows stand alone.

    Args:
        day: days since the first infection, 1 to 14, each at most once.
        cases: boys in bed.
    """
    gamma = numpyro.sample("gamma", dist.TruncatedNormal(0.4, 0.5, low=0.0))
    beta = numpyro.sample("beta", dist.TruncatedNormal(2.0, 1.0, low=0.0))
    phi_inv = numpyro.sample("phi_inv", dist.Exponential(5.0))
    numpyro.deterministic("T", 1.0 / gamma)
    numpyro.deterministic("R0", beta / gamma)
    found = log_infected(jnp.stack([gamma, beta]))
    solved = jnp.isfinite(found).all()
    # Replaced before the likelihood: an infinite mean would make its derivatives NaN.
    log_mean = jnp.where(solved, found, 0.0)
    numpyro.deterministic("solved", jnp.where(solved, 1.0, 0.0))
    numpyro.factor("no_solution", jnp.where(solved, 0.0, -jnp.inf))
    with numpyro.plate("days", day.shape[0]):
        # By the logarithm of mean over φ: where γ is large, means are too small for 32 bit.
        odds = log_mean[day - 1] + jnp.log(phi_inv)
        counts: Any = dist.NegativeBinomialLogits(1.0 / phi_inv, odds)
        numpyro.sample("cases", counts, obs=cases)


def bound_sir() -> amortis.LatentModel:
    """The model bound to the fourteen days.

    Raises:
        MissingDependencyError: diffrax is not installed.
    """
    return amortis.from_numpyro(sir, jnp.asarray(DAYS), jnp.asarray(CASES))
