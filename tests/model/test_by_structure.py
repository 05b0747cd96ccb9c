"""Models whose rows do not stand alone are bound by what their structure is found to be."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.control_flow import scan
from numpyro.infer.util import potential_energy

import amortis
from amortis import (
    ArgumentError,
    ClosedFormEntropy,
    DiagonalNormal,
    FreshDraws,
    Kind,
    SetNetwork,
    Table,
    from_numpyro,
)
from amortis.guide import Guide, Noise
from amortis.model.checks import random_values
from amortis.objectives import NegativeElbo

X = jnp.asarray(np.random.default_rng(0).normal(size=24).astype(np.float32))
GROUP = np.asarray([3, 0, 0, 5, 3, 3, 0, 5, 5, 5, 2, 2] * 2)


def chain(x):
    def step(previous, value):
        z = numpyro.sample("z", dist.Normal(previous, 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=value)
        return z, None

    scan(step, jnp.zeros(()), x)


def rolled(x):
    theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z - jnp.roll(z, 1), 1.0), obs=x)


def tied(x):
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.LogNormal(jnp.zeros(()), 1.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)
    numpyro.factor("tie", -0.5 * jnp.sum(z) ** 2)


def doubled(x):
    with numpyro.plate("rows", x.shape[0] + 1):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
    numpyro.sample("left", dist.Normal(z[1:], 1.0).to_event(1), obs=x)
    numpyro.sample("right", dist.Normal(2.0 * z[:-1], 1.0).to_event(1), obs=x)


def grouped(x, group):
    mu = numpyro.sample("mu", dist.Normal(jnp.zeros(()), 1.0))
    scale = numpyro.sample("scale", dist.LogNormal(jnp.zeros(()), 1.0))
    with numpyro.plate("groups", 6):
        z = numpyro.sample("z", dist.LogNormal(mu, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        numpyro.sample("x", dist.Normal(z[group], scale), obs=x)


@pytest.mark.parametrize(
    ("model", "arguments", "kind"),
    [
        (chain, (X,), Kind.COUPLED),
        (rolled, (X,), Kind.COUPLED),
        (tied, (X,), Kind.COUPLED),
        (doubled, (X,), Kind.WINDOWED),
        (grouped, (X, GROUP), Kind.GROUPED),
    ],
)
def test_the_terms_add_up_to_numpyros_own_log_density(model, arguments, kind):
    bound = from_numpyro(model, *arguments)
    assert bound.verdict is not None and bound.verdict.kind is kind
    theta, z = random_values(bound, seed=3, scale=1.0)
    expected = -potential_energy(model, arguments, {}, {**theta, **z})
    np.testing.assert_allclose(bound.log_joint(theta, z), expected, rtol=2e-6)


def test_groups_are_evaluated_alone_whatever_their_sizes():
    bound = from_numpyro(grouped, X, GROUP)
    theta, z = random_values(bound, seed=3, scale=1.0)
    whole = np.asarray(bound.log_local(theta, z))
    for index in ([4], [5, 1], [0, 1, 2, 3, 4, 5], [3, 4, 2]):
        chosen = jnp.asarray(index)
        part = bound.log_local(theta, {"z": z["z"][chosen]}, bound.rows(chosen))
        np.testing.assert_allclose(part, whole[index], rtol=2e-6)
    # A naive loop over the rows of each group.
    scale, mu = np.exp(float(theta["scale"])), float(theta["mu"])
    for j in range(6):
        u = float(z["z"][j])
        expected = -0.5 * (u - mu) ** 2 - 0.5 * np.log(2 * np.pi)  # a log normal by its logarithm
        for x in np.asarray(X)[j == GROUP]:
            expected += -0.5 * ((x - np.exp(u)) / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))
        np.testing.assert_allclose(whole[j], expected, rtol=1e-5)


def test_groups_with_vectors_of_latents_are_evaluated_alone_as_well():
    def model(t, y, group):
        mu = numpyro.sample("mu", dist.Normal(jnp.zeros(3), 1.0).to_event(1))
        with numpyro.plate("groups", 6):
            b = numpyro.sample("b", dist.Normal(mu, 0.5).to_event(1))
        with numpyro.plate("rows", y.shape[0]):
            rate = b[group, 0] + b[group, 1] * t + b[group, 2] * t**2
            numpyro.sample("y", dist.Normal(rate, 0.5), obs=y)

    bound = from_numpyro(model, X, X[::-1], GROUP)
    assert bound.separable
    theta, z = random_values(bound, seed=3, scale=1.0)
    whole = np.asarray(bound.log_local(theta, z))
    for j in range(6):
        b, t, y = np.asarray(z["b"][j]), np.asarray(X)[j == GROUP], np.asarray(X)[::-1][j == GROUP]
        expected = -0.5 * np.sum(((b - np.asarray(theta["mu"])) / 0.5) ** 2 + np.log(np.pi / 2))
        rate = b[0] + b[1] * t + b[2] * t**2
        expected += -0.5 * np.sum(((y - rate) / 0.5) ** 2 + np.log(np.pi / 2))
        np.testing.assert_allclose(whole[j], expected, rtol=1e-5)


def test_units_that_share_terms_cannot_be_subsampled(key):
    bound = from_numpyro(rolled, X)
    with pytest.raises(ArgumentError, match=r"FreshDraws\(batch=5\) takes some of the 24 units"):
        amortis.fit(bound, key=key, inference=Table(), optimiser=FreshDraws(batch=5))
    with pytest.raises(amortis.ModelError, match="were to be subsampled"):
        bound.rows(jnp.arange(3))


def test_draws_of_a_whole_model_have_the_users_shapes(key):
    fitted = amortis.fit(from_numpyro(tied, X), key=key)
    assert isinstance(fitted.guide.inference, Table)
    draws = fitted.posterior(key=key, draws=7)
    assert draws["z"].shape == (7, 24) and (draws["z"] > 0).all()


def test_categories_are_read_as_indicators():
    def model(x, kind):
        level = numpyro.sample("level", dist.Normal(jnp.zeros(3), 1.0).to_event(1))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(level[kind], 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    kind = np.asarray([0, 2, 1] * 8)
    bound = from_numpyro(model, X, kind)
    assert bound.input_names == ("x", "kind=0", "kind=1", "kind=2")
    np.testing.assert_array_equal(bound.inputs[:, 1:], np.eye(3)[kind])


def test_counts_are_read_as_numbers():
    def model(count):
        with numpyro.plate("rows", count.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("count", dist.Poisson(jnp.exp(z)), obs=count)

    bound = from_numpyro(model, np.arange(9))
    assert bound.input_names == ("count",)
    assert jax.tree.leaves(bound.data)[0].dtype == jnp.int32


@pytest.mark.slow
def test_batches_of_groups_are_unbiased(key):
    """Over a partition of the groups, the batches' ELBOs weigh up to that of all of them."""
    bound = from_numpyro(grouped, X, GROUP)
    guide = Guide.for_model(bound, SetNetwork(width=2), DiagonalNormal(), DiagonalNormal())
    loss = NegativeElbo(bound, guide, ClosedFormEntropy())
    parameters = jax.tree.map(lambda p: p + 0.1, guide.init(key))
    generator = np.random.default_rng(0)
    theta = generator.normal(size=(1, 2)).astype(np.float32)
    z = generator.normal(size=(1, 6, 1)).astype(np.float32)
    whole = loss.value(parameters, Noise(theta, z, np.ones(1, np.float32)), None)
    parts = []
    for index in ([3, 0], [5, 1], [4, 2]):
        noise = Noise(theta, z[:, index], np.ones(1, np.float32))
        parts.append(float(loss.value(parameters, noise, jnp.asarray(index))))
    np.testing.assert_allclose(np.mean(parts), float(whole), rtol=2e-6)
