"""Gaps and optima of rows with several latents, where an optimum fits the draws it is found on."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.optimize import minimize

from amortis import Constant, fit, from_numpyro, refine
from amortis.fitting import Gap, amortization_gap
from amortis.fitting.estimate import Estimate

LOADINGS = np.random.default_rng(5).normal(scale=0.6, size=(4, 3))


def factors(y):
    """Poisson counts of three factors: the ELBO of a Gaussian is in closed form, and concave."""
    with numpyro.plate("rows", y.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(3), 1.0).to_event(1))
        rate = jnp.exp(z @ jnp.asarray(LOADINGS.T, z.dtype))
        numpyro.sample("y", dist.Poisson(rate).to_event(1), obs=y)


def elbo_of(raw, y):
    """E[log p(y | z)] - KL(q | N(0, I)), but for log y!."""
    mean, log_sd = raw[:3], raw[3:]
    variance = np.exp(2 * log_sd)
    linear = LOADINGS @ mean
    rate = np.exp(linear + 0.5 * LOADINGS**2 @ variance)
    return y @ linear - rate.sum() - 0.5 * np.sum(mean**2 + variance - 1 - 2 * log_sd)


@pytest.fixture(scope="module")
def counts():
    generator = np.random.default_rng(1)
    return generator.poisson(np.exp(generator.normal(size=(25, 3)) @ LOADINGS.T))


@pytest.fixture(scope="module")
def rough(counts):
    return fit(from_numpyro(factors, counts), key=jax.random.key(0), inference=Constant())


@pytest.fixture(scope="module")
def exact(rough, counts):
    """Each row's optimum in closed form, and what it gains over the function's output."""
    raws = np.asarray(rough.guide.fitted_raw(rough.variational, None), np.float64)
    pairs = list(zip(raws, counts, strict=True))
    best = [minimize(lambda r, y=y: -elbo_of(r, y), raw) for raw, y in pairs]
    gains = [-b.fun - elbo_of(raw, y) for b, (raw, y) in zip(best, pairs, strict=True)]
    return np.asarray([b.x for b in best]), np.asarray(gains)


def test_the_gap_of_three_latents_is_that_of_the_closed_form(rough, exact, key):
    raws, gains = exact
    gap = amortization_gap(rough, key=key, draws=512)
    assert abs(gap.total.mean - gains.sum()) < 4 * gap.total.se + 2e-3 * len(gains)
    assert abs(gap.claimed - gains.sum()) < 5e-3 * len(gains)
    np.testing.assert_allclose(gap.optimal, raws, atol=0.05)


def test_refined_rows_lose_nothing(rough, counts, exact, key):
    refined = refine(rough, key=key, rows=np.arange(0, 25, 2))
    raws = np.asarray(refined.guide.fitted_raw(refined.variational, None), np.float64)
    before = np.asarray(rough.guide.fitted_raw(rough.variational, None), np.float64)
    for n, (raw, old, y) in enumerate(zip(raws, before, counts, strict=True)):
        gained = elbo_of(raw, y) - elbo_of(old, y)
        assert abs(gained - (0.0 if n % 2 else exact[1][n])) < 2e-3
    again = refine(refined, key=key, rows=np.arange(25))
    raws = np.asarray(again.guide.fitted_raw(again.variational, None), np.float64)
    each = zip(raws, before, counts, strict=True)
    gained = np.asarray([elbo_of(new, y) - elbo_of(old, y) for new, old, y in each])
    assert np.all(np.abs(exact[1] - gained) < 2e-3)


def gap_of(mean, se, claimed, size=100):
    blank = np.zeros(size)
    return Gap(Estimate(mean, se), blank, blank, np.zeros((size, 2)), blank == 0.0, claimed)


def test_a_certificate_needs_the_claim_too():
    small = gap_of(0.01, 0.001, 0.02)
    assert small.is_below(1e-3)
    assert not dataclasses.replace(small, claimed=0.2).is_below(1e-3)  # the optima fit their draws
    assert not gap_of(0.09, 0.01, 0.09).is_below(1e-3)  # noise
    assert gap_of(-1.0, 0.1, 0.05).is_impossible(1e-3)  # the optima are none
    assert not gap_of(-1.0, 0.1, 0.05).is_below(1e-3)
    assert math.isclose(small.per_datum.mean, 1e-4)
