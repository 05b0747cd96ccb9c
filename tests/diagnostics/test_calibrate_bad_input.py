"""What cannot be calibrated is refused in one line that says what to do."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import ArgumentError, Polynomial, Table, calibrate, fit, from_density, from_numpyro

KEY = jax.random.key(6)
X = np.random.default_rng(0).normal(size=40).astype(np.float32)


def fitted(model, *data, inference=None):
    bound = from_numpyro(model, *data)
    return fit(bound, key=KEY, inference=Polynomial(1) if inference is None else inference)


def plain(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)


def autoregressive(x, before):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0 + jnp.abs(x) + 0.0 * before), obs=x)


def clipped(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("x", dist.Normal(5.0 * z, 5.0), obs=jnp.clip(x, -3.0, 3.0))


def with_factor(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.factor("x", -0.5 * (x - z) ** 2)


def improper(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.ImproperUniform(dist.constraints.real, (), ()))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)


def scaled(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.handlers.scale(scale=0.5):
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)


def two_alike(x, y):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("data", dist.Normal(z + 0.0 * y, 1.0), obs=x)


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (autoregressive, (X, X + 1), "site 'x' observes 'x', which 'x' is drawn with"),
        (clipped, (X,), "site 'x' observes a transformed argument 'x'"),
        (with_factor, (X,), "site 'x' is a factor, or is observed inside `scan`"),
        (improper, (X,), "site 'z' has no sampler"),
        (scaled, (X,), "log density of site 'x' is multiplied by a scale"),
        (two_alike, (X, X), "'x' and 'y' are equal"),
    ],
)
def test_models_from_which_no_data_can_be_drawn_or_put_back(model, data, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        calibrate(fitted(model, *data), key=KEY)
    assert "\n" not in str(caught.value) and "expected" in str(caught.value)


def test_a_table_and_a_model_of_densities():
    with pytest.raises(ArgumentError, match=r"Table\(\), a factor for each.*refined"):
        calibrate(fitted(plain, X, inference=Table()), key=KEY)
    bound = from_density(
        lambda theta: jnp.zeros(()),
        lambda theta, z, x: -0.5 * z["z"] ** 2 - 0.5 * (x - z["z"]) ** 2,
        X,
        globals_={},
        locals_={"z": ()},
    )
    dense = fit(bound, key=KEY, inference=Polynomial(1))
    with pytest.raises(ArgumentError, match="log densities, from which no data can be drawn"):
        calibrate(dense, key=KEY)


def test_arguments_out_of_range():
    good = fitted(plain, X)
    with pytest.raises(ArgumentError, match="number of simulations is 10; expected at least 50"):
        calibrate(good, key=KEY, simulations=10)
    with pytest.raises(ArgumentError, match="number of draws is 5; expected at least 19"):
        calibrate(good, key=KEY, draws=5)


def test_arguments_of_other_types():
    """As users meet it, without the tests' run-time checks of annotations."""
    program = """
import warnings; warnings.simplefilter("ignore")
import jax, numpy as np, numpyro, numpyro.distributions as dist, amortis
def model(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)
bound = amortis.from_numpyro(model, np.linspace(-2.0, 2.0, 20, dtype=np.float32))
key = jax.random.key(0)
good = amortis.fit(bound, key=key, inference=amortis.Polynomial(1))
for call in (
    lambda: amortis.calibrate(good, key=key, simulations=99.5),
    lambda: amortis.calibrate(good, key=0),
    lambda: amortis.calibrate(good, key=key, simulate=3),
    lambda: amortis.calibrate(3, key=key),
):
    try:
        call()
    except amortis.ArgumentError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    starts = ["number of simulations is 99.5;", "key is 0;", "simulate is 3;", "fitted is 3;"]
    assert len(lines) == 4, done.stderr
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
