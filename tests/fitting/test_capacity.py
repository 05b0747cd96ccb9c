"""The function grows until the gap is certified, and says so where it cannot."""

import dataclasses
import importlib

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    MLP,
    ArgumentError,
    Constant,
    Polynomial,
    Table,
    Windowed,
    diagnose,
    fit,
    from_numpyro,
)
from tests.exact_models import linear

capacity_room = importlib.import_module("amortis.fitting.capacity")


@pytest.fixture(scope="module")
def exact():
    return linear.example(200)


@pytest.fixture(scope="module")
def bound(exact):
    return from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)


def test_a_constant_grows_until_it_is_linear(bound, exact, key):
    fitted = fit(bound, key=key, inference=Constant(), tolerance=1e-3)
    capacity = fitted.capacity
    assert capacity.certified and not capacity.refined
    assert [step.function for step in capacity.steps] == ["Constant()", "Polynomial(degree=1)"]
    first, last = capacity.steps
    assert abs(first.gap.mean - exact.constant_shortfall / 200) < 1e-4
    assert abs(last.gap.mean) < 1e-4 and last.parameters > first.parameters
    assert isinstance(fitted.guide.inference, Polynomial)
    assert exact.log_evidence - exact.gap - fitted.elbo(key=key, draws=4096).mean < 0.05
    assert str(capacity).startswith("certified: the gap is below 0.001 nats per datum\n")
    assert np.all(np.diff(fitted.history.seconds) > 0)


def test_a_function_that_is_enough_does_not_grow(bound, key):
    fitted = fit(bound, key=key, tolerance=1e-3)
    assert fitted.capacity.certified and len(fitted.capacity.steps) == 1
    assert isinstance(fitted.guide.inference, MLP)


def hidden_column(u, v):
    """The mean of z is linear in u and v."""
    with numpyro.plate("rows", u.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("u", dist.Normal(z, 1.0), obs=u)
        numpyro.sample("v", dist.Normal(z, 1.0), obs=v)


@pytest.mark.slow
def test_what_no_size_can_close_is_not_certified_and_never_worse(key, monkeypatch):
    generator = np.random.default_rng(0)
    z = generator.normal(size=200)
    u, v = (z + generator.normal(size=(2, 200))).astype(np.float32)
    whole = from_numpyro(hidden_column, u, v)
    monkeypatch.setattr(capacity_room, "_MOST_SIZES", 3)
    blind = dataclasses.replace(whole, inputs=whole.inputs[:, :1], input_names=("u",))
    first = fit(blind, key=key, inference=MLP(2))
    fitted = fit(blind, key=key, inference=MLP(2), tolerance=1e-3)
    capacity = fitted.capacity
    assert not capacity.certified and len(capacity.steps) == 3
    assert str(capacity).startswith("not certified")
    # What v would have told: with the factors' variance 1/3, half of three times its variance.
    assert capacity.steps[0].gap.mean > 0.1
    ahead = fitted.elbo_pairs(key=key, draws=512) - first.elbo_pairs(key=key, draws=512)
    assert ahead.mean() > -4 * ahead.std() / np.sqrt(len(ahead))
    assert any("refine" in step for step in diagnose(fitted, key=key).next_steps)


def test_where_units_touch_it_ends_in_refinement(key):
    def walk(x):
        z = numpyro.sample("z", dist.GaussianRandomWalk(1.0, num_steps=x.shape[0]))
        numpyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    x = np.cumsum(np.random.default_rng(0).normal(size=12)).astype(np.float32)
    bound = from_numpyro(walk, x)
    fitted = fit(bound, key=key, inference=Windowed(Polynomial(1), (0,)), tolerance=1e-3)
    assert fitted.capacity.refined and fitted.capacity.certified
    assert isinstance(fitted.guide.inference, Table)
    first, last = fitted.capacity.steps
    assert first.gap.mean > 1e-3 > last.gap.mean
    assert "since no function can close it here" in str(fitted.capacity)


def test_a_tolerance_is_positive(bound, key):
    with pytest.raises(ArgumentError, match=r"fit tolerance is 0.0; expected a positive number"):
        fit(bound, key=key, tolerance=0.0)
