"""Random Gaussian posteriors, and two that are not: what each factor of the globals makes of them.

In 32 bit throughout. Models of one kind differ in their data only, so that they compile once.
"""

import dataclasses
import functools

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amortis import (
    BatchAndMatch,
    CouplingLayers,
    Flow,
    FreshDraws,
    FullRank,
    Laplace,
    LowRank,
    Mixture,
    Pathfinder,
    Plateau,
    Status,
    fit,
    from_density,
)
from amortis.families import full_rank_parts
from amortis.optimise import random_starts
from tests.exact_models import gaussian

KEY = jax.random.key(3)
FAMILIES = {"mean field": None, "full rank": FullRank()}
TARGETS = [(2, 1e2), (2, 1e6), (20, 1e2), (20, 1e6)]


@dataclasses.dataclass(frozen=True)
class Target:
    """N(mean, covariance), whose normalizer is left out of the density."""

    mean: np.ndarray
    covariance: np.ndarray
    precision: np.ndarray
    root: np.ndarray

    @property
    def sds(self):
        return np.sqrt(np.diag(self.covariance))

    @property
    def log_evidence(self):
        _, log_det = np.linalg.slogdet(2 * np.pi * self.covariance)
        return 0.5 * log_det

    @property
    def data(self):
        return {
            "root": jnp.asarray(self.root[None], jnp.float32),
            "mean": jnp.asarray(self.mean[None], jnp.float32),
        }

    def kl_of(self, mean, covariance):
        """KL of a normal to this one."""
        ratio, shift = self.precision @ covariance, mean - self.mean
        trace = np.trace(ratio) - len(mean) + shift @ self.precision @ shift
        return 0.5 * (trace - np.linalg.slogdet(ratio)[1])


def with_spectrum(variances, seed):
    """A normal with these variances along random axes."""
    generator = np.random.default_rng(seed)
    d = len(variances)
    axes = np.linalg.qr(generator.normal(size=(d, d)))[0]
    mean = generator.normal(size=d)
    root = (axes / np.sqrt(variances)).T  # the precision is root' root
    return Target(mean, (axes * variances) @ axes.T, (axes / variances) @ axes.T, root)


def of_condition(d, condition):
    return with_spectrum(np.geomspace(1.0, 1.0 / condition, d), seed=d)


@functools.cache
def template(d):
    """The model of d dimensions."""

    def log_local(theta, z, row):
        return -0.5 * jnp.sum(jnp.square(row["root"] @ (theta["u"] - row["mean"])))

    data = of_condition(d, 1e2).data
    return from_density(
        lambda theta: jnp.zeros(()), log_local, data, globals_={"u": (d,)}, locals_={}
    )


def bound(target):
    return dataclasses.replace(template(len(target.mean)), data=target.data)


@functools.cache
def fitted_to(d, condition, name):
    target = of_condition(d, condition)
    return target, fit(bound(target), key=KEY, globals_=FAMILIES[name])


def normal_of(fitted):
    """Mean and covariance of a full-rank normal, in double precision."""
    assert isinstance(fitted.guide.global_family, FullRank)
    mean, root = full_rank_parts(fitted.variational["globals"])
    root = np.asarray(root, np.float64)
    return np.asarray(mean, np.float64), root @ root.T


@pytest.mark.parametrize(("d", "condition"), TARGETS)
def test_mean_field_has_the_means_and_the_conditional_sds(d, condition):
    target, fitted = fitted_to(d, condition, "mean field")
    mean, variances = gaussian.mean_field(target.mean, target.precision)
    found, sds = fitted.global_moments()
    assert fitted.status is Status.CONVERGED
    np.testing.assert_allclose((found - mean) / target.sds, 0.0, atol=0.01)
    np.testing.assert_allclose(sds**2, variances, rtol=0.02)


@pytest.mark.parametrize(("d", "condition"), TARGETS)
def test_the_elbo_falls_short_by_the_mean_field_gap(d, condition):
    target, fitted = fitted_to(d, condition, "mean field")
    estimate = fitted.elbo(key=KEY, draws=2000)
    gap = gaussian.mean_field_gap(target.precision)
    # 4 standard errors of 1000 pairs: false-failure rate 6.4e-5 for each of four.
    assert abs(target.log_evidence - estimate.mean - gap) < 4 * estimate.se + 1e-3
    assert estimate.se < 0.02 * gap + 0.05


@pytest.mark.parametrize(("d", "condition"), TARGETS)
def test_a_full_rank_normal_is_the_posterior(d, condition):
    target, fitted = fitted_to(d, condition, "full rank")
    mean, covariance = normal_of(fitted)
    assert fitted.status is Status.CONVERGED
    np.testing.assert_allclose((mean - target.mean) / target.sds, 0.0, atol=0.01)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), target.sds, rtol=0.01)
    assert target.kl_of(mean, covariance) < 1e-3


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("d", "condition"), [(2, 1e2), (20, 1e2)])
def test_linear_response_is_the_covariance_of_the_posterior(d, condition, name):
    target, fitted = fitted_to(d, condition, name)
    scaled = fitted.covariance() / np.outer(target.sds, target.sds)
    wanted = target.covariance / np.outer(target.sds, target.sds)
    np.testing.assert_allclose(scaled, wanted, atol=0.01)


@pytest.mark.parametrize(("d", "condition"), TARGETS)
def test_laplace_is_mode_and_curvature(d, condition):
    target = of_condition(d, condition)
    fitted = fit(bound(target), key=KEY, globals_=Laplace())
    mean, covariance = normal_of(fitted)
    assert fitted.status is Status.CONVERGED
    np.testing.assert_allclose((mean - target.mean) / target.sds, 0.0, atol=0.01)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), target.sds, rtol=0.01)


@pytest.mark.parametrize(("d", "condition"), TARGETS)
def test_scores_match_at_the_posterior(d, condition):
    target = of_condition(d, condition)
    fitted = fit(bound(target), key=KEY, globals_=BatchAndMatch())
    assert fitted.status is Status.CONVERGED
    assert target.kl_of(*normal_of(fitted)) < 1e-6


@pytest.mark.parametrize("rank", [1, 2])
def test_diagonal_plus_low_rank_is_recovered(rank):
    generator = np.random.default_rng(rank)
    directions = 2.0 * generator.normal(size=(20, rank))
    covariance = np.diag(generator.uniform(0.5, 2.0, 20) ** 2) + directions @ directions.T
    precision = np.linalg.inv(covariance)
    root = np.linalg.cholesky(precision).T
    target = Target(generator.normal(size=20), covariance, precision, root)
    fitted = fit(bound(target), key=KEY, globals_=LowRank(rank))
    raw = np.asarray(fitted.variational["globals"], np.float64)
    mean, scale, turn = raw[:20], np.exp(raw[20:40]), raw[40:].reshape(20, rank)
    factor = scale[:, None] * (np.eye(20) + turn @ turn.T)
    assert target.kl_of(mean, factor @ factor.T) < 2e-3
    np.testing.assert_allclose(fitted.global_moments()[1], target.sds, rtol=0.01)


def test_a_low_rank_that_is_too_low_loses_something():
    """The test above would see a rank too few."""
    generator = np.random.default_rng(2)
    directions = 2.0 * generator.normal(size=(20, 2))
    covariance = np.eye(20) + directions @ directions.T
    precision = np.linalg.inv(covariance)
    target = Target(np.zeros(20), covariance, precision, np.linalg.cholesky(precision).T)
    fitted = fit(bound(target), key=KEY, globals_=LowRank(1))
    estimate = fitted.elbo(key=KEY, draws=1000)
    assert target.log_evidence - estimate.mean > 0.5


def skewed(u):
    """An exponential variable on the log scale, and a parabola of it with noise."""
    return u[0] - jnp.exp(u[0]) - 2.0 * jnp.square(u[1] - 0.5 * jnp.square(u[0]))


def of_globals(log_density, d):
    return from_density(
        lambda theta: log_density(theta["u"]),
        lambda theta, z, row: jnp.zeros(()),
        jnp.zeros(1),
        globals_={"u": (d,)},
        locals_={},
    )


@pytest.mark.slow
def test_a_flow_bends_where_a_normal_cannot():
    model, log_evidence = of_globals(skewed, 2), 0.5 * np.log(np.pi / 2)
    quick = FreshDraws(rate=0.02, draws=64, plateau=Plateau(tolerance=0.02))
    flow = Flow(CouplingLayers(layers=4, width=16))
    normal = fit(model, key=KEY, globals_=FullRank()).elbo(key=KEY, draws=4000)
    bent = fit(model, key=KEY, globals_=flow, optimiser=quick).elbo(key=KEY, draws=4000)
    # 4 standard errors: false-failure rate 6.4e-5 for each of two.
    assert log_evidence - normal.mean > 0.3
    assert log_evidence - bent.mean < 0.05
    assert bent.mean < log_evidence + 4 * bent.se + 1e-3
    assert normal.mean < log_evidence + 4 * normal.se


@pytest.mark.slow
def test_a_mixture_fits_a_skewed_density_better_than_one_normal():
    model, log_evidence = of_globals(skewed, 2), 0.5 * np.log(np.pi / 2)
    one = fit(model, key=KEY, globals_=Mixture(1)).elbo(key=KEY, draws=4000)
    two = fit(model, key=KEY, globals_=Mixture(2)).elbo(key=KEY, draws=4000)
    assert one.mean + 0.1 < two.mean < log_evidence + 4 * two.se


@pytest.fixture
def compiled_quickly():
    """Nearly all the time goes into compiling, BlackJAX's own calls too; this halves it."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


CENTER = np.asarray([0.5, -1.0], np.float32)
PRECISION = np.linalg.inv(np.asarray([[1.0, 1.2], [1.2, 2.25]], np.float32))


def correlated(u):
    return -0.5 * (u - CENTER) @ PRECISION @ (u - CENTER)


def half(u):
    """Zero where the first coordinate is negative, far in the tail of what is left."""
    far = jnp.asarray([6.0, 1.0], u.dtype)
    return jnp.where(u[0] > 0.0, -0.5 * jnp.sum(jnp.square(u - far)), -jnp.inf)


@pytest.mark.usefixtures("compiled_quickly")
@pytest.mark.slow
def test_pathfinder_is_blackjaxs_to_the_bit():
    fitted = fit(
        of_globals(correlated, 2), key=KEY, globals_=Pathfinder(paths=4, draws=50, iterations=12)
    )
    start_key, path_key = jax.random.split(KEY)
    starts = random_starts(start_key, 4, 2)
    algorithm = blackjax.multipathfinder(correlated)
    state, _ = algorithm.init(path_key, starts, 50, maxcor=6, maxiter=12, ftol=1e-8)
    found = fitted.found
    assert not found.failed.any()
    assert np.array_equal(found.draws, state.samples)
    assert np.array_equal(found.log_densities, state.logp)
    assert np.array_equal(found.log_proposals, state.logq)
    assert np.array_equal(found.elbos, state.path_states.elbo)


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_quickly")
def test_one_path_is_blackjaxs_to_the_bit():
    fitted = fit(
        of_globals(correlated, 2), key=KEY, globals_=Pathfinder(paths=1, draws=50, iterations=12)
    )
    start_key, path_key = jax.random.split(KEY)
    start = random_starts(start_key, 1, 2)[0]
    first, second = jax.random.split(path_key)
    state, _ = blackjax.pathfinder.approximate(
        first, correlated, start, 50, maxcor=6, maxiter=12, ftol=1e-8
    )
    draws, log_proposals = blackjax.pathfinder.sample(second, state, 50)
    assert np.array_equal(fitted.found.draws, draws[None])
    assert np.array_equal(fitted.found.log_proposals, log_proposals[None])
    mean, covariance = normal_of(fitted)
    np.testing.assert_allclose(mean, fitted.found.means[0], rtol=1e-6)
    exact = Target(CENTER, np.linalg.inv(PRECISION), PRECISION, np.linalg.cholesky(PRECISION).T)
    assert exact.kl_of(mean, covariance) < 0.05


@pytest.mark.usefixtures("compiled_quickly")
def test_paths_that_failed_are_told():
    key = jax.random.key(0)
    starts = random_starts(jax.random.split(key)[0], 4, 2)
    outside = np.asarray(starts[:, 0]) < 0.0
    assert 0 < outside.sum() < 3
    model = of_globals(half, 2)
    fitted = fit(model, key=key, globals_=Pathfinder(paths=4, draws=50, iterations=12))
    assert np.array_equal(fitted.found.failed, outside)
    assert isinstance(fitted.guide.global_family, Mixture)
    assert fitted.guide.global_family.components == 4 - outside.sum()
    np.testing.assert_allclose(fitted.global_moments()[0], [6.0, 1.0], atol=0.1)
