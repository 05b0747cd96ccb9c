"""One small fit for tests of what is reported; made once per process."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import amortis

ROWS = 30


def model(x, loc=0.0):
    mu = numpyro.sample("mu", dist.Normal(jnp.full(2, loc), 10.0).to_event(1))
    sigma = numpyro.sample("sigma", dist.HalfNormal(2.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.Normal(mu + z[:, None], sigma).to_event(1), obs=x)


def data() -> np.ndarray:
    generator = np.random.default_rng(0)
    shared, noise = generator.normal(size=(ROWS, 1)), generator.normal(size=(ROWS, 2))
    return np.asarray([1.0, -2.0] + shared + 0.5 * noise, np.float32)


@functools.cache
def small_fit(point: bool = False) -> amortis.Fit:
    return amortis.fit(
        amortis.from_numpyro(model, data()),
        key=jax.random.key(0),
        inference=amortis.Polynomial(1),
        globals_=amortis.Point() if point else amortis.DiagonalNormal(),
    )
