"""Where searches for latents without rows begin."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    BatchAndMatch,
    FullRank,
    Laplace,
    Locals,
    Point,
    Status,
    diagnose,
    fit,
    from_density,
    from_numpyro,
)
from amortis.fitting.approximation import LogJoint
from amortis.fitting.start_points import start_points
from amortis.guide import SiteLayout

KEY = jax.random.key(2)
FAR, SD, NARROW, LESS = np.asarray([2.0, -1.8, 1.5]), 0.5, 0.3, 8.0


def _normal(u, mean, sd):
    return jnp.sum(-0.5 * ((u - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi))


@pytest.fixture(scope="module")
def two_modes():
    """All but e^-8 of the mass around FAR; around zero a mode that holds what begins there."""

    def log_prior(theta):
        u = theta["u"]
        return jnp.logaddexp(_normal(u, FAR, SD), _normal(u, 0.0, NARROW) - LESS)

    zero = jnp.zeros(1)
    return from_density(
        log_prior, lambda theta, z, row: jnp.zeros(()), zero, globals_={"u": (3,)}, locals_={}
    )


@pytest.mark.parametrize(
    "globals_", [None, FullRank(), Laplace(), BatchAndMatch()], ids=lambda g: type(g).__name__
)
def test_the_mode_that_matters_is_found(two_modes, globals_):
    fitted = fit(two_modes, key=KEY, globals_=globals_)
    mean, sd = fitted.global_moments()
    np.testing.assert_allclose(mean, FAR, atol=0.02)
    np.testing.assert_allclose(sd, SD, rtol=0.05)


def test_a_point_estimate_finds_it_too(two_modes):
    mean, _ = fit(two_modes, key=KEY, globals_=Point()).global_moments()
    np.testing.assert_allclose(mean, FAR, atol=0.01)


def test_several_restarts_all_come_from_the_best(two_modes):
    fitted = fit(two_modes, key=KEY, restarts=2)
    np.testing.assert_allclose(fitted.global_moments()[0], FAR, atol=0.02)


def test_an_interruption_on_the_way_keeps_the_best_so_far(two_modes):
    calls = []

    def stop(progress, parameters):
        calls.append(progress.objective)
        if len(calls) == 2:
            raise KeyboardInterrupt

    fitted = fit(two_modes, key=KEY, monitor=stop)
    assert len(calls) == 2 and fitted.status is Status.INTERRUPTED
    assert abs(diagnose(fitted, key=KEY).elbo.mean - max(calls)) < 1.0


MEANS = {
    "normal": (dist.Normal(3.0, 0.1), [3.0]),
    "positive": (dist.LogNormal(np.log(1e-3), 0.5), [np.log(1e-3) + 0.125]),
    "interval": (dist.Uniform(0.0, 4.0), [0.0]),
    "cauchy": (dist.HalfCauchy(5.0), [0.0]),
    "improper": (dist.ImproperUniform(dist.constraints.real, (), ()), [0.0]),
    "vector": (dist.Normal(jnp.asarray([1.0, 2.0]), 1.0).to_event(1), [1.0, 2.0]),
}


@pytest.mark.parametrize("name", MEANS)
def test_the_mean_of_the_prior_is_one_of_the_points(name):
    prior, expected = MEANS[name]

    def model(y):
        u = numpyro.sample("u", prior)
        numpyro.sample("y", dist.Normal(jnp.sum(u), 1.0), obs=y)

    bound = from_numpyro(model, jnp.asarray(1.0), local=Locals.NONE)
    points = start_points(LogJoint(bound, SiteLayout(bound.globals_)), len(expected), KEY)
    near, afar = points[:2], points[2:8]
    assert np.abs(near).max() < 0.5
    assert np.abs(afar).max() < 2.0 and np.ptp(afar) > 1.5
    if not np.any(expected):
        assert len(points) == 8  # around zero are others in any case
    else:
        assert len(points) == 9
        np.testing.assert_allclose(points[8], expected, atol=1e-5)


@pytest.mark.usefixtures("standard_promotion")  # NumPyro's Cholesky factors
def test_simplices_and_correlations_have_means_too():
    def model(y):
        share = numpyro.sample("share", dist.Dirichlet(jnp.asarray([1.0, 2.0, 5.0])))
        numpyro.sample("root", dist.LKJCholesky(3, 2.0))
        numpyro.sample("y", dist.Normal(share[0], 1.0), obs=y)

    bound = from_numpyro(model, jnp.asarray(1.0), local=Locals.NONE)
    mean = start_points(LogJoint(bound, SiteLayout(bound.globals_)), 5, KEY)[-1]
    theta = SiteLayout(bound.globals_).split(jnp.asarray(mean))
    values = bound.constrain(theta, bound.zeros(bound.size))
    np.testing.assert_allclose(values["share"], np.asarray([1.0, 2.0, 5.0]) / 8.0, atol=1e-5)
    np.testing.assert_allclose(values["root"], np.eye(3), atol=1e-5)
