"""Models that cannot be fitted, each for one reason; and one that can."""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

NOT_A_MODEL = 3
WRITTEN_SIZE = 12


def good(x, sd=1.0):
    theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z, sd), obs=x)


def two_arrays(x, y):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)
        numpyro.sample("y", dist.Normal(z * y, 1.0), obs=y)


def discrete(x):
    with numpyro.plate("rows", x.shape[0]):
        k = numpyro.sample("k", dist.Bernoulli(0.5))
        numpyro.sample("x", dist.Normal(k.astype(float), 1.0), obs=x)


class WithoutSupport(dist.Distribution):
    def log_prob(self, value):
        return jnp.zeros(())


def improper(x):
    theta = numpyro.sample("theta", WithoutSupport())
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)


def crossed(x):
    with numpyro.plate("rows", x.shape[0], dim=-2), numpyro.plate("columns", x.shape[1], dim=-1):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)


def size_written(x):
    with numpyro.plate("rows", WRITTEN_SIZE):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(WRITTEN_SIZE), 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)


def outside_its_support(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.LogNormal(z, 1.0), obs=x)


def raises(x):
    scale = {"a": 1.0}
    with numpyro.plate("rows", x.shape[0]):
        numpyro.sample("z", dist.Normal(0.0, scale["b"]))
