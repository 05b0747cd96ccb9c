"""Two time series: an autoregression, and a variance that feeds on the last residual."""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints

ORDER = 5


def arK(y):
    alpha = numpyro.sample("alpha", dist.Normal(0.0, 10.0))
    with numpyro.plate("lags", ORDER):
        beta = numpyro.sample("beta", dist.Normal(0.0, 10.0))
    sigma = numpyro.sample("sigma", dist.HalfCauchy(2.5))
    steps = len(y) - ORDER
    lagged = jnp.stack([y[ORDER - lag : len(y) - lag] for lag in range(1, ORDER + 1)], axis=-1)
    with numpyro.plate("steps", steps):
        numpyro.sample("y", dist.Normal(alpha + lagged @ beta, sigma), obs=y[ORDER:])


def garch11(y, sigma1):
    """GARCH(1, 1), stationary: alpha1 + beta1 < 1.

    Stan's flat priors on alpha1 in (0, 1) and beta1 in (0, 1 - alpha1) are uniform on the triangle,
    whose marginal in alpha1 is Beta(1, 2).
    """
    mu = numpyro.sample("mu", dist.ImproperUniform(constraints.real, (), ()))
    alpha0 = numpyro.sample("alpha0", dist.ImproperUniform(constraints.positive, (), ()))
    alpha1 = numpyro.sample("alpha1", dist.Beta(1.0, 2.0))
    beta1 = numpyro.sample("beta1", dist.Uniform(0.0, 1.0 - alpha1))

    def next_variance(variance, residual):
        variance = alpha0 + alpha1 * residual**2 + beta1 * variance
        return variance, variance

    first = jnp.asarray(sigma1, jnp.result_type(float)) ** 2
    _, later = jax.lax.scan(next_variance, first, jnp.asarray(y)[:-1] - mu)
    sigma = jnp.sqrt(jnp.concatenate([first[None], later]))
    with numpyro.plate("steps", len(y)):
        numpyro.sample("y", dist.Normal(mu, sigma), obs=y)
