"""NumPyro models of each structure that a guide has to follow, with their data."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from amortis import Polynomial, SetNetwork, Table, Windowed


def subsampled(x, tau, sigma, batch=None):
    """The linear model with whole data and a plate that may draw a batch."""
    theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 3.0))
    with numpyro.plate("rows", x.shape[0], subsample_size=batch) as index:
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("x", dist.Normal(theta + tau * z, sigma), obs=x[index])


def streamed(x, tau, sigma, size):
    """The same, handed a batch of `size` rows."""
    theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 3.0))
    with numpyro.plate("rows", size, subsample_size=x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("x", dist.Normal(theta + tau * z, sigma), obs=x)


def constrained(x):
    """Positive globals; locals positive, on a simplex, and below a bound that is a global."""
    rate = numpyro.sample("rate", dist.HalfNormal(jnp.full(2, 1.5)).to_event(1))
    bound = numpyro.sample("bound", dist.LogNormal(jnp.zeros(()), 0.5))
    with numpyro.plate("rows", x.shape[0]):
        w = numpyro.sample("w", dist.HalfNormal(jnp.ones(2)).to_event(1))
        p = numpyro.sample("p", dist.Dirichlet(2.0 * jnp.ones(3)))
        u = numpyro.sample("u", dist.Uniform(jnp.zeros(()), bound))
        numpyro.deterministic("twice", 2.0 * u)
        mean = (w * rate).sum(-1) + p[..., 0] + u
        numpyro.sample("x", dist.Normal(mean, 0.7), obs=x)


def grouped(y, group, groups):
    """A mean for each group of rows."""
    mu = numpyro.sample("mu", dist.Normal(jnp.zeros(()), 2.0))
    with numpyro.plate("groups", groups):
        z = numpyro.sample("z", dist.Normal(mu, 1.0))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)


def windowed(x):
    """Units between the rows of a series: unit n reads rows n and n + 1."""
    with numpyro.plate("units", x.shape[0] - 1):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("sum", dist.Normal(z, 1.0), obs=x[1:] + x[:-1])


def nested(x):
    """Locals along the second of two plates, with a vector and a matrix of them per unit."""
    scale = numpyro.sample("scale", dist.HalfNormal(jnp.ones(())))
    with numpyro.plate("rows", x.shape[0], dim=-2):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("items", x.shape[1], dim=-1):
            w = numpyro.sample("w", dist.LogNormal(jnp.zeros(2), scale).to_event(1))
            numpyro.sample("x", dist.Normal(z + w.sum(-1), 1.0), obs=x)


def unplated(x):
    """Locals without a plate, with a weight on their prior that their factor must not have."""
    theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 2.0))
    with numpyro.handlers.scale(scale=0.5):
        z = numpyro.sample("z", dist.HalfNormal(jnp.ones(x.shape[0])).to_event(1))
    numpyro.sample("x", dist.Normal(theta + z, 1.0).to_event(1), obs=x)


def categorical(x, kind):
    """Rows of three kinds."""
    a = numpyro.sample("a", dist.Normal(jnp.zeros(3), 1.0).to_event(1))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("x", dist.Normal(z[:, None] + a[kind][:, None], 1.0).to_event(1), obs=x)


def numbers(*shape, seed=0):
    """Standard normal data."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def groups_of(rows, count, seed=0):
    """The group of each row."""
    return np.random.default_rng(seed).integers(0, count, rows)


LINE, POTENTIALS = Polynomial(1), SetNetwork(width=0)
MODELS = {
    "subsampled": (subsampled, (jnp.asarray(numbers(12)), 0.8, 1.1), {"inference": Polynomial(2)}),
    "constrained": (constrained, (numbers(9),), {"inference": LINE}),
    "grouped": (grouped, (numbers(30), groups_of(30, 6), 6), {"inference": POTENTIALS}),
    "windowed": (windowed, (numbers(11),), {"inference": Windowed(LINE, (0, 1))}),
    "nested": (nested, (numbers(7, 3),), {"inference": LINE, "local": "rows"}),
    "unplated": (unplated, (numbers(8),), {"inference": Table()}),
    "categorical": (categorical, (numbers(14, 2), groups_of(14, 3)), {}),  # as `check` finds it
}
