"""Gaussian process regression with the function integrated out."""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist


def gp_regr(x, y):
    rho = numpyro.sample("rho", dist.Gamma(25.0, 4.0))
    alpha = numpyro.sample("alpha", dist.HalfNormal(2.0))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
    kernel = alpha**2 * jnp.exp(-0.5 * ((x[:, None] - x) / rho) ** 2)
    # sigma is a variance here, as it is in posteriordb's program
    covariance = kernel + sigma * jnp.eye(len(x))
    numpyro.sample("y", dist.MultivariateNormal(covariance_matrix=covariance), obs=y)
