"""Moments and draws on constrained scales, for factors that are set by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

from amortis import Constant, DiagonalNormal, Fit, History, Point, Status, from_numpyro
from amortis.guide import Guide

MEANS = {"rate": 0.3, "share": -0.4, "mix": (0.5, -0.2), "wide": 1.0}
SDS = {"rate": 0.5, "share": 0.8, "mix": (0.6, 0.3), "wide": 2.0}
LOCAL = (0.2, 0.4)


def model(x):
    rate = numpyro.sample("rate", dist.LogNormal(jnp.zeros(()), 1.0))
    share = numpyro.sample("share", dist.Beta(jnp.full((), 2.0), 2.0))
    mix = numpyro.sample("mix", dist.Dirichlet(jnp.ones(3)))
    wide = numpyro.sample("wide", dist.Normal(jnp.zeros(()), 5.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.LogNormal(jnp.zeros(()), rate))
        numpyro.deterministic("total", z * rate)
        numpyro.sample("x", dist.Normal(z + share + mix[0] + wide, 1.0), obs=x)


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module", params=[DiagonalNormal(), Point()], ids=["diagonal", "point"])
def fitted(request):
    bound = from_numpyro(model, np.linspace(-1.0, 1.0, 4))
    guide = Guide.for_model(bound, Constant(), request.param, DiagonalNormal())
    lay = lambda values: np.concatenate([np.ravel(values[n]) for n in bound.globals_])  # noqa: E731
    parts = [lay(MEANS), np.log(lay(SDS))][: 2 if request.param.is_density else 1]
    local = np.array([LOCAL[0], np.log(LOCAL[1])])
    parameters = {"globals": jnp.asarray(np.concatenate(parts)), "locals": jnp.asarray(local)}
    history = History(np.zeros(1), np.zeros(1), np.ones(1, int), np.ones(1, int))
    return Fit(bound, guide, parameters, Status.CONVERGED, history)


def sd_of(fitted, name):
    return SDS[name] if fitted.guide.global_family.is_density else 0.0 * np.asarray(SDS[name])


def expected(transform, mean, sd, nodes=60):
    """Mean and sd of a transformed normal vector by a tensor Gauss-Hermite rule."""
    mean, sd = np.atleast_1d(mean), np.atleast_1d(sd)
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    points = np.array(list(itertools.product(x, repeat=len(mean))))
    weights = np.array([np.prod(c) for c in itertools.product(w / w.sum(), repeat=len(mean))])
    values = np.asarray(transform(jnp.asarray(mean + sd * points)))
    values = values.reshape(len(points), -1)
    first = weights @ values
    return first, np.sqrt(np.maximum(weights @ values**2 - first**2, 0.0))


def exact(fitted):
    """Means and sds of all sites by quadrature."""
    simplex = dist.biject_to(dist.constraints.simplex)
    unit = dist.biject_to(dist.constraints.unit_interval)
    return {
        "rate": expected(jnp.exp, MEANS["rate"], sd_of(fitted, "rate")),
        "share": expected(unit, MEANS["share"], sd_of(fitted, "share")),
        "mix": expected(simplex, MEANS["mix"], sd_of(fitted, "mix")),
        "wide": expected(lambda u: u, MEANS["wide"], sd_of(fitted, "wide")),
        "z": tuple(np.repeat(m, 4) for m in expected(jnp.exp, *LOCAL)),
    }


def test_the_oracle_knows_the_lognormal():
    mean, sd = expected(jnp.exp, 0.3, 0.5)
    lognormal = stats.lognorm(0.5, scale=np.exp(0.3))
    np.testing.assert_allclose([mean[0], sd[0]], [lognormal.mean(), lognormal.std()], rtol=1e-10)


def test_moments_are_those_of_the_transformed_normals(fitted):
    moments = fitted.moments()
    for name, (mean, sd) in exact(fitted).items():
        got_mean, got_sd = (np.ravel(part) for part in moments[name])
        scale = np.maximum(sd, 1e-9)
        # 512 points of a low-discrepancy rule: a hundredth of an sd, and three hundredths.
        assert (np.abs(got_mean - mean) < 0.01 * scale + 1e-12).all(), name
        np.testing.assert_allclose(got_sd, sd, rtol=0.03, atol=1e-7)
    assert moments["mix"][0].shape == (3,)
    assert moments["z"][0].shape == (4,)


def test_deterministic_sites_have_moments_too(fitted):
    mean, _ = fitted.moments()["total"]
    known = exact(fitted)
    np.testing.assert_allclose(mean, known["z"][0] * known["rate"][0], rtol=0.01)


def test_draws_have_the_same_moments(fitted):
    draws = 4000
    posterior = fitted.posterior(key=jax.random.key(0), draws=draws)
    for name, (mean, sd) in exact(fitted).items():
        values = posterior[name].reshape(draws, -1)
        # 5 standard errors for each of eleven means: false-failure rate 6e-6.
        error = 5 * np.maximum(sd, 1e-12) / np.sqrt(draws)
        assert (np.abs(values.mean(axis=0) - mean) < error + 1e-12).all(), name
        if fitted.guide.global_family.is_density or name == "z":
            assert (values.std(axis=0) > 0.8 * sd).all()
    assert (posterior["rate"] > 0).all()
    assert ((posterior["share"] > 0) & (posterior["share"] < 1)).all()
    np.testing.assert_allclose(posterior["mix"].sum(axis=1), np.ones(draws), rtol=1e-10)
    np.testing.assert_allclose(
        posterior["total"], posterior["z"] * posterior["rate"][:, None], rtol=1e-10
    )
