"""Rows that are stuck in a poor mode find the better one; rows that are not stay where they are."""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import amortis
from amortis import FixedDraws, FreshDraws, Status
from amortis.experiments import nonlinear
from amortis.experiments.comparison import Setting
from amortis.fitting import relocate
from amortis.fitting.relocate import unstuck

ROWS = 400


@pytest.fixture(scope="module")
def fitted():
    """F-VI of the paper's nonlinear model, some rows of which have modes 20 nats apart."""
    x = nonlinear.simulate(Setting.CODE, ROWS, seed=1).x
    model = amortis.from_numpyro(nonlinear.model, x)
    return amortis.fit(model, key=jax.random.key(0), inference=amortis.Table())


def with_rows_at(fit, rows, mean):
    """The fit with the means of some rows elsewhere, and optimised from there."""
    locals_ = np.array(fit.variational["locals"])
    locals_[rows, 0] = mean
    moved = {**fit.variational, "locals": jnp.asarray(locals_)}
    return dataclasses.replace(fit, variational=moved)


def test_rows_in_a_poor_mode_are_brought_back(fitted, key):
    high = np.argsort(fitted.local_moments()[0][:, 0])[-5:]
    spoiled = with_rows_at(fitted, high, -10.0)
    lost = fitted.elbo(key=key, draws=256).mean - spoiled.elbo(key=key, draws=256).mean
    assert lost > 50.0
    found = unstuck(spoiled, FixedDraws(), key=key)
    means = [np.asarray(each.local_moments()[0][high, 0]) for each in (found, fitted)]
    np.testing.assert_allclose(*means, atol=0.05)
    assert found.elbo(key=key, draws=256).mean > fitted.elbo(key=key, draws=256).mean - 0.05
    # The histories stand end to end.
    blocks = len(fitted.history.seconds)
    assert len(found.history.seconds) > blocks
    assert (np.diff(found.history.seconds) >= 0).all()
    assert (np.diff(found.history.iterations) > 0).all()


def test_fits_without_a_better_mode_are_returned_as_they_are(fitted, key):
    assert unstuck(fitted, FixedDraws(), key=key) is fitted


def test_batches_are_left_alone(fitted, key):
    spoiled = with_rows_at(fitted, [0, 1], -10.0)
    assert unstuck(spoiled, FreshDraws(batch=100), key=key) is spoiled


def test_f_vi_ends_no_lower_than_the_refined_network(fitted, key):
    network = amortis.fit(fitted.model, key=key, inference=amortis.MLP(16))
    refined = amortis.refine(network, key=key)
    both = [fit.elbo(key=key, draws=1024).mean for fit in (fitted, refined)]
    assert both[0] > both[1] - 0.05


def test_ctrl_c_in_a_pass_keeps_the_fit(fitted, key, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(relocate, "_relocated", interrupted)
    found = unstuck(fitted, FixedDraws(), key=key)
    assert found.status is Status.INTERRUPTED
    assert found.variational is fitted.variational


def test_the_history_counts_the_pass(fitted, key, monkeypatch):
    high = np.argsort(fitted.local_moments()[0][:, 0])[-5:]
    spoiled = with_rows_at(fitted, high, -10.0)
    pass_itself = relocate._relocated

    def slow(*given):
        time.sleep(0.5)
        return pass_itself(*given)

    monkeypatch.setattr(relocate, "_relocated", slow)
    found = unstuck(spoiled, FixedDraws(), key=key)
    blocks = len(fitted.history.seconds)
    between = found.history.seconds[blocks] - found.history.seconds[blocks - 1]
    assert between >= 0.5


def test_rows_with_several_locals_are_moved_too(key):
    """x ~ N(z², 0.1²) by coordinate, z around 2: rows held at -2 are worse by 8 in each."""

    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(2.0, 1.0).expand([3]).to_event(1))
            numpyro.sample("x", dist.Normal(z**2, 0.1).to_event(1), obs=x)

    x = np.full((40, 3), 4.0) + np.random.default_rng(0).normal(scale=0.1, size=(40, 3))
    fit = amortis.fit(amortis.from_numpyro(model, x), key=key, inference=amortis.Table())
    moved = np.array(fit.variational["locals"])
    moved[[3, 7], :3] = -moved[[3, 7], :3]
    spoiled = dataclasses.replace(
        fit, variational={**fit.variational, "locals": jnp.asarray(moved)}
    )
    assert fit.elbo(key=key).mean - spoiled.elbo(key=key).mean > 40.0
    found = np.asarray(unstuck(spoiled, FixedDraws(), key=key).local_moments()[0])
    np.testing.assert_allclose(found, np.sqrt(x), atol=0.1)
