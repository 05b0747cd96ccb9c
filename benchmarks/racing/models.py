"""The models in NumPyro: for amortis, NumPyro and BlackJAX, and the definition of the rest."""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

ANSWERS, CODES = 4, 8


def linear(x):
    theta = numpyro.sample("theta", dist.ImproperUniform(dist.constraints.real, (), ()))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.Normal(theta + 1.155 * z, 2.43), obs=x)


def nonlinear(x):
    theta = numpyro.sample("theta", dist.Normal(0.0, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        mean = theta + z + z * jnp.sin(z)
        numpyro.sample("x", dist.Normal(mean, jnp.exp(jnp.cos(z))), obs=x)


def saw(x):
    theta = numpyro.sample("theta", dist.Normal(0.0, 1.0))
    before = jnp.concatenate([jnp.zeros(1, x.dtype), x[:-1]])
    with numpyro.plate("steps", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(before, 1.0))
        numpyro.sample("x", dist.Normal(0.75 * (theta + z), 1.0), obs=x)


def radon(log_radon, county_idx, log_uppm, floor_measure, J):
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


def irt(y):
    people, items = y.shape
    with numpyro.plate("items", items):
        slope = numpyro.sample("slope", dist.LogNormal(0.0, 1.0))
        first = numpyro.sample("first", dist.Normal(-2.0, 2.0))
        with numpyro.plate("steps", ANSWERS - 2):
            step = numpyro.sample("step", dist.LogNormal(0.0, 1.0))
    cutpoints = first + jnp.concatenate([jnp.zeros((1, items)), jnp.cumsum(step, axis=0)])
    with numpyro.plate("people", people):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        graded = dist.OrderedLogistic(z[:, None] * slope, cutpoints.T)
        numpyro.sample("y", graded.to_event(1), obs=y)


def ppca(x):
    columns = x.shape[1]
    loadings = numpyro.sample("W", dist.Normal(0.0, 1.0).expand([columns, CODES]).to_event(2))
    mean = numpyro.sample("mu", dist.Normal(0.0, 1.0).expand([columns]).to_event(1))
    noise_sd = numpyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    with numpyro.plate("images", x.shape[0]):
        code = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([CODES]).to_event(1))
        pixels = dist.Normal(code @ loadings.T + mean, noise_sd).to_event(1)
        numpyro.sample("x", pixels, obs=x)


def bnn(x):
    layers, sd = [], 0.5**0.5
    for i, (m, n) in enumerate([(64, 256), (256, 256), (256, x.shape[1])], start=1):
        w = numpyro.sample(f"w{i}", dist.Normal(0.0, sd).expand([m, n]).to_event(2))
        b = numpyro.sample(f"b{i}", dist.Normal(0.0, sd).expand([n]).to_event(1))
        layers.append((w, b))
    with numpyro.plate("images", x.shape[0]):
        hidden = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([64]).to_event(1))
        for w, b in layers[:-1]:
            hidden = jax.nn.leaky_relu(hidden @ w + b, 0.2)
        w, b = layers[-1]
        numpyro.sample("x", dist.Normal(hidden @ w + b, sd).to_event(1), obs=x)


MODELS = {
    "linear": linear,
    "nonlinear": nonlinear,
    "saw": saw,
    "radon": radon,
    "irt": irt,
    "ppca": ppca,
    "bnn": bnn,
}
