"""Eight schools: effects of coaching, with known standard errors.

`model` takes the standard errors as data: POINTWISE on (y, sigma). `hidden` has them written into
it, so that no one function of y can serve all schools: HIDDEN, and `check` says what to pass.
"""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array

Y = jnp.asarray([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = jnp.asarray([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def model(y: Array, sigma: Array) -> None:
    r"""$y_n \sim N(z_n, \sigma_n)$, $z_n \sim N(\mu, \tau)$."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
    with numpyro.plate("schools", y.shape[0]):
        z = numpyro.sample("z", dist.Normal(mu, tau))
        numpyro.sample("y", dist.Normal(z, sigma), obs=y)


def hidden(y: Array) -> None:
    """The same with the standard errors inside."""
    model(y, SIGMA[: y.shape[0]])
