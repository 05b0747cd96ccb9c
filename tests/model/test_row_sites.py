"""Errors and priors of rows against their definitions, site by site."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers

from amortis import ArgumentError, from_numpyro
from amortis.model import error_columns, prior_moments, row_errors

ROWS = 5


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def mixed(x, counts, kind, seen):
    """Latents that depend on each other, and data of three kinds, some of them masked."""
    theta = numpyro.sample("theta", dist.Normal(0.0, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 2.0))
        w = numpyro.sample("w", dist.Normal(z[:, None] * jnp.ones(2), 0.5).to_event(1))
        mean = jnp.stack([z, w[:, 0], w[:, 1]], axis=1)
        with handlers.mask(mask=seen):
            numpyro.sample("x", dist.Normal(mean, 3.0).to_event(1), obs=x)
        numpyro.sample("counts", dist.Poisson(jnp.exp(0.3 * z)), obs=counts)
        numpyro.sample("kind", dist.Categorical(logits=mean), obs=kind)
        numpyro.factor("weight", -0.1 * z**2)


def data():
    generator = np.random.default_rng(0)
    return (
        generator.normal(size=(ROWS, 3)),
        generator.poisson(2.0, ROWS).astype(float),
        np.array([0, 2, 1, 1, 0]),
        np.array([True, True, False, True, True]),
    )


def test_errors_are_those_of_the_definition():
    x, counts, kind, seen = data()
    model = from_numpyro(mixed, *data())
    generator = np.random.default_rng(1)
    theta = 0.7
    z, w = generator.normal(size=ROWS), generator.normal(size=(ROWS, 2))
    values = {"z": jnp.asarray(z), "w": jnp.asarray(w)}
    found = row_errors(model, {"theta": jnp.asarray(theta)}, values, model.data)
    mean = np.stack([z, w[:, 0], w[:, 1]], axis=1)
    p = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    rate = np.exp(0.3 * z)
    expected = [
        (z[:, None] - theta) / 2.0,
        (w - z[:, None]) / 0.5,
        np.where(seen[:, None], (x - mean) / 3.0, 0.0),
        ((counts - rate) / np.sqrt(rate))[:, None],
        (np.eye(3)[kind] - p) / np.sqrt(p * (1.0 - p)),
    ]
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-10)
    assert error_columns(model) == found.shape[1] == 10
    # Those of a batch are those of its rows.
    index = jnp.asarray([3, 0])
    taken = {name: value[index] for name, value in values.items()}
    batch = row_errors(model, {"theta": jnp.asarray(theta)}, taken, model.rows(index))
    np.testing.assert_allclose(batch, found[index], rtol=1e-12)


def test_priors_are_taken_site_after_site():
    model = from_numpyro(mixed, *data())
    means, sds = prior_moments(model, {"theta": jnp.asarray(0.7)}, model.data)
    np.testing.assert_allclose(means["z"], np.full(ROWS, 0.7))
    np.testing.assert_allclose(sds["z"], np.full(ROWS, 2.0))
    np.testing.assert_allclose(means["w"], np.full((ROWS, 2), 0.7))
    np.testing.assert_allclose(sds["w"], np.full((ROWS, 2), 0.5))


def test_a_subsampled_plate_has_the_errors_of_its_batch():
    x = np.linspace(-1.0, 2.0, 8)

    def model(x, batch=None):
        theta = numpyro.sample("theta", dist.Normal(0.0, 1.0))
        with numpyro.plate("rows", 8, subsample_size=batch) as index:
            z = numpyro.sample("z", dist.Normal(theta, 2.0))
            numpyro.sample("x", dist.Normal(z, 0.5), obs=x[index])

    bound = from_numpyro(model, x, batch=4)
    index = jnp.asarray([6, 1, 2])
    z = jnp.asarray([0.1, 0.2, 0.3])
    found = row_errors(bound, {"theta": jnp.asarray(0.5)}, {"z": z}, bound.rows(index))
    expected = np.stack([(z - 0.5) / 2.0, (x[index] - z) / 0.5], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def heavy(x):
    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(mean, 1.0))
        numpyro.sample("x", dist.Cauchy(z, 1.0), obs=x)


def positive(x):
    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.LogNormal(mean, 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)


class Nameless(dist.Normal):
    @property
    def mean(self):
        raise NotImplementedError


def without_mean(x):
    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(mean, 1.0))
        numpyro.sample("x", Nameless(z, 1.0), obs=x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: from_numpyro(heavy, x), "site 'x' has a distribution whose mean or variance is"),
        (lambda x: from_numpyro(without_mean, x), "site 'x' has Nameless, which has no mean"),
    ],
)
def test_sites_without_moments_are_named(make, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        error_columns(make(np.linspace(-1.0, 1.0, 4)))
    assert "\n" not in str(caught.value)


def test_a_prior_that_is_no_factor_is_named():
    model = from_numpyro(positive, np.linspace(0.5, 1.0, 4))
    with pytest.raises(ArgumentError, match=r"latent site 'z' has support .* expected") as caught:
        prior_moments(model, {"mean": jnp.zeros(())}, model.data)
    assert "\n" not in str(caught.value)
