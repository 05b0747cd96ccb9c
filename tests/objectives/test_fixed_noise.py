"""Fixed noise: what every rule for every guide has to keep, at any number of draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amortis import ArgumentError, Constant, DiagonalNormal, Point, Table, from_density
from amortis.guide import Guide
from amortis.objectives import NegativeElbo
from amortis.objectives.gradients import ClosedFormEntropy

ROWS = 5


@functools.cache
def bound(d_theta, d_z):
    return from_density(
        lambda theta: sum((-0.5 * jnp.sum(v**2) for v in theta.values()), jnp.zeros(())),
        lambda theta, z, x: -0.5 * jnp.sum((z["z"] - x) ** 2),
        jnp.arange(float(ROWS)),
        globals_={"t": (d_theta,)} if d_theta else {},
        locals_={"z": (d_z,)},
    )


def loss_with(d_theta, d_z, inference, family):
    model = bound(d_theta, d_z)
    guide = Guide.for_model(model, inference, family, DiagonalNormal())
    return NegativeElbo(model, guide, ClosedFormEntropy())


GUIDES = {
    f"{d_theta}-{d_z}-{type(f).__name__}-{type(q).__name__}": (d_theta, d_z, f, q)
    for d_theta in (0, 1, 4)
    for d_z in (1, 2, 3)
    for f in (Table(), Constant())
    for q in (DiagonalNormal(), Point())
}


@pytest.mark.parametrize("name", GUIDES)
def test_any_multiple_of_four_draws_is_a_centered_rule(name):
    d_theta, d_z, inference, family = GUIDES[name]
    loss = loss_with(d_theta, d_z, inference, family)
    first = loss.first_draws
    assert first % 4 == 0
    assert first < loss.more_draws(first) <= 8 * first
    fewest = 4 if d_z != 2 or not d_theta or family == Point() else 8
    for draws in (fewest, 8, 12, 20, 28, first, loss.more_draws(first)):
        noise = loss.fixed_noise(jax.random.key(0), draws)
        # A point needs no noise: it has none, rather than columns of zeros.
        assert noise.theta.shape == (draws, d_theta if family.is_density else 0)
        assert noise.z.shape in {(draws, ROWS, d_z), (draws, 1, d_z)}
        assert noise.weight.shape == (draws,)
        assert (noise.weight >= 0).all()
        np.testing.assert_allclose(noise.weight.sum(), 1.0, rtol=1e-12)
        np.testing.assert_allclose(noise.weight @ noise.theta, 0.0, atol=1e-10)
        np.testing.assert_allclose(np.einsum("s,snj->nj", noise.weight, noise.z), 0.0, atol=1e-10)
        # No draw of the globals leans on any row's: odd in one times odd in the other is zero.
        cross = np.einsum("s,si,snj->inj", noise.weight, noise.theta, noise.z)
        np.testing.assert_allclose(cross, 0.0, atol=1e-10)


@pytest.mark.parametrize("name", GUIDES)
def test_enough_draws_have_the_second_moments_of_the_normal(name):
    d_theta, d_z, inference, family = GUIDES[name]
    loss = loss_with(d_theta, d_z, inference, family)
    draws = loss.more_draws(loss.more_draws(loss.first_draws))
    noise = loss.fixed_noise(jax.random.key(0), draws)
    for n in range(noise.z.shape[1]):
        moment = np.einsum("s,si,sj->ij", noise.weight, noise.z[:, n], noise.z[:, n])
        np.testing.assert_allclose(moment, np.eye(d_z), atol=1e-8)
    moment = np.einsum("s,si,sj->ij", noise.weight, noise.theta, noise.theta)
    np.testing.assert_allclose(moment, np.eye(d_theta if family.is_density else 0), atol=1e-8)


def test_rows_that_share_a_function_have_noise_of_their_own_and_the_key_decides_it():
    loss = loss_with(1, 3, Constant(), DiagonalNormal())
    one, same, other = (loss.fixed_noise(jax.random.key(seed), 16) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.z, same.z)
    assert np.abs(one.z - other.z).max() > 0.1
    assert np.abs(one.z[:, 0] - one.z[:, 1]).max() > 0.1


@pytest.mark.parametrize("draws", [1, 2, 5])
def test_fresh_noise_is_antithetic_and_equally_weighted(draws, key):
    loss = loss_with(2, 3, Constant(), DiagonalNormal())
    noise = loss.fresh_noise(key, draws, 4)
    assert noise.theta.shape == (draws, 2)
    assert noise.z.shape == (draws, 4, 3)
    np.testing.assert_allclose(noise.weight, np.full(draws, 1 / draws))
    half = (draws + 1) // 2
    np.testing.assert_array_equal(noise.theta[half:], -noise.theta[: draws - half])
    np.testing.assert_array_equal(noise.z[half:], -noise.z[: draws - half])


def test_squares_of_globals_and_locals_are_uncorrelated_over_rows():
    # If they went together, the sds of sharp globals would be off by a factor however many draws
    # there are: E[t^2 z^2] = 1. Over 2000 rows the mean deviates by less than 0.02 in 50 standard
    # errors; with one order of points for all rows it was 1.8.
    rows = 2000
    model = from_density(
        lambda theta: -0.5 * jnp.sum(theta["t"] ** 2),
        lambda theta, z, x: -0.5 * jnp.sum((z["z"] - x) ** 2),
        jnp.arange(float(rows)),
        globals_={"t": (3,)},
        locals_={"z": (3,)},
    )
    guide = Guide.for_model(model, Constant(), DiagonalNormal(), DiagonalNormal())
    loss = NegativeElbo(model, guide, ClosedFormEntropy())
    for draws in (64, 128, 512):
        noise = loss.fixed_noise(jax.random.key(0), draws)
        squares = np.einsum("s,si,snj->ij", noise.weight, noise.theta**2, noise.z**2) / rows
        np.testing.assert_allclose(squares, 1.0, atol=0.05)


def test_the_fewest_draws_leave_no_dimension_without_noise():
    """With one point for the globals their factor could be widened without end."""
    loss = loss_with(1, 1, Constant(), DiagonalNormal())
    noise = loss.fixed_noise(jax.random.key(0), 4)
    weight = np.asarray(noise.weight)
    for part in (noise.theta[:, 0], noise.z[:, 0, 0]):
        np.testing.assert_allclose(weight @ np.square(part), 1.0, rtol=1e-6)
    with pytest.raises(ArgumentError, match="4 draws, but 2 local and 1 global"):
        loss_with(1, 2, Constant(), DiagonalNormal()).fixed_noise(jax.random.key(0), 4)


@pytest.mark.parametrize("d_theta", [1, 2, 4, 8])
def test_with_few_globals_only_the_first_draws_have_four_nodes(d_theta):
    """What four nodes claim of a latent says nothing beside four nodes again."""
    loss = loss_with(d_theta, 1, Constant(), DiagonalNormal())
    draws = [loss.first_draws, 2 * loss.first_draws, loss.more_draws(loss.first_draws), 256]
    nodes = [
        len(np.unique(noise.z[noise.weight > 0]))
        for noise in (loss.fixed_noise(jax.random.key(0), count) for count in draws)
    ]
    assert nodes[0] == 4
    assert min(nodes[1:]) >= 8
