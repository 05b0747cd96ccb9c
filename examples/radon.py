"""Radon in 12 573 homes of 386 counties of 1 to 765: an intercept for each county.

    amortis check examples/radon.py:model --data radon_all.json
    amortis fit examples/radon.py:model --data radon_all.json

`check` finds that a county's intercept reads the homes of that county: GROUPED by `county_idx`.
"""

import numpyro
import numpyro.distributions as dist
from jaxtyping import Array


def model(
    log_radon: Array, county_idx: Array, log_uppm: Array, floor_measure: Array, J: int
) -> None:
    r"""$y_i \sim N(z_{c(i)} + \gamma u_i + \beta f_i, \sigma)$, $z_j \sim N(\mu, \tau)$."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 10.0))
    gamma = numpyro.sample("gamma", dist.Normal(0.0, 10.0))
    beta = numpyro.sample("beta", dist.Normal(0.0, 10.0))
    tau = numpyro.sample("tau", dist.LogNormal(0.0, 1.0))
    sigma = numpyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    with numpyro.plate("county", J):
        z = numpyro.sample("z", dist.Normal(mu, tau))
    with numpyro.plate("homes", log_radon.shape[0]):
        mean = z[county_idx - 1] + gamma * log_uppm + beta * floor_measure
        numpyro.sample("y", dist.Normal(mean, sigma), obs=log_radon)
