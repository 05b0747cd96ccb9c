import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from amortis import DiagonalNormal, Point

pytestmark = pytest.mark.usefixtures("x64")

FAMILIES = {"DiagonalNormal": DiagonalNormal(), "Point": Point()}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dimension", [0, 1, 4])
def test_the_contract_of_shapes(name, dimension):
    family = FAMILIES[name]
    raw = family.start(dimension, -2.0)
    assert raw.shape == (family.raw_size(dimension),)
    draw = family.sample(raw, jnp.ones(dimension))
    assert draw.shape == (dimension,)
    assert family.entropy(raw).shape == family.log_density(raw, draw).shape == ()
    mean, sd = family.moments(raw)
    assert mean.shape == sd.shape == (dimension,)
    assert family.coordinates(raw).shape == raw.shape
    shift, change = family.unsettled(family.coordinates(raw), jnp.zeros_like(raw))
    assert float(shift) == float(change) == 0.0


@pytest.mark.parametrize("name", FAMILIES)
def test_coordinates_and_back(name, key):
    family = FAMILIES[name]
    raw = jax.random.normal(key, (family.raw_size(5),), jnp.float64)
    np.testing.assert_allclose(family.from_coordinates(family.coordinates(raw)), raw, rtol=1e-12)


def test_a_diagonal_normal_draws_from_its_density(key):
    family, raw = DiagonalNormal(), jnp.asarray([1.0, -2.0, 0.3, -1.1])
    noise = jax.random.normal(key, (4000, 2), jnp.float64)
    draws = np.asarray(jax.vmap(lambda e: family.sample(raw, e))(noise))
    for j, (mean, sd) in enumerate(zip(*family.moments(raw), strict=True)):
        # Two Kolmogorov-Smirnov tests: false-failure rate 1e-4.
        assert stats.kstest(draws[:, j], stats.norm(float(mean), float(sd)).cdf).pvalue > 5e-5
    np.testing.assert_allclose(family.moments(raw)[1], np.exp([0.3, -1.1]), rtol=1e-12)


def test_the_density_of_a_diagonal_normal_is_that_of_its_map():
    # log q(u(e)) + log |du/de| = log N(e).
    family, raw, noise = DiagonalNormal(), jnp.asarray([1.0, 0.3]), jnp.asarray([0.8])
    jacobian = jax.jacobian(lambda e: family.sample(raw, e))(noise)[0, 0]
    log_q = family.log_density(raw, family.sample(raw, noise))
    expected = stats.norm.logpdf(0.8) - np.log(float(jacobian))
    np.testing.assert_allclose(float(log_q), expected, rtol=1e-12)


def test_a_negative_sd_in_search_coordinates_is_read_as_its_size():
    raw = DiagonalNormal().from_coordinates(jnp.asarray([0.5, -2.0]))
    np.testing.assert_allclose(raw, [0.5, np.log(2.0)], rtol=1e-12)


def test_unsettled_is_the_distance_from_a_gaussian_optimum():
    # ELBO = -((m - m*)^2 + s^2) / 2 s*^2 + log s; near the optimum, to first order.
    best_mean, best_sd = 0.7, 0.2
    mean, sd = best_mean + 1e-3 * best_sd, best_sd * (1 - 2e-3)

    def elbo(c):
        return -((c[0] - best_mean) ** 2 + c[1] ** 2) / (2 * best_sd**2) + jnp.log(c[1])

    coordinates = jnp.asarray([mean, sd])
    shift, change = DiagonalNormal().unsettled(coordinates, jax.grad(elbo)(coordinates))
    np.testing.assert_allclose([float(shift), float(change)], [1e-3, 2e-3], rtol=0.01)


def test_a_point_is_its_parameters():
    raw = jnp.asarray([0.3, -0.8])
    point = Point()
    np.testing.assert_array_equal(point.sample(raw, jnp.asarray([5.0, 5.0])), raw)
    np.testing.assert_array_equal(point.moments(raw)[1], [0.0, 0.0])
    assert float(point.entropy(raw)) == float(point.log_density(raw, raw)) == 0.0
    assert not point.is_density
    assert DiagonalNormal().is_density


def test_a_natural_step_divides_by_the_fisher_information():
    """F is the mean of squared scores under q, here by Gauss and Hermite's rule."""
    family, raw = DiagonalNormal(), jnp.asarray([0.4, -0.7])
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / weights.sum()
    draws = [family.sample(raw, jnp.asarray([node])) for node in nodes]
    scores = np.stack([np.asarray(jax.grad(family.log_density)(raw, draw)) for draw in draws])
    fisher = np.einsum("s,si,sj->ij", weights, scores, scores)
    gradient = np.asarray([0.3, -0.2])
    step = family.natural_step(raw, jnp.asarray(gradient))
    np.testing.assert_allclose(step, np.linalg.solve(fisher, gradient), rtol=1e-8)


def test_a_natural_step_is_bounded():
    step = DiagonalNormal().natural_step(jnp.asarray([0.0, 1.0]), jnp.asarray([1e6, -1e6]))
    np.testing.assert_allclose(step, [2.0 * np.e, -2.0], rtol=1e-12)


def test_a_point_moves_along_the_gradient():
    gradient = jnp.asarray([0.3, -2.0])
    np.testing.assert_array_equal(Point().natural_step(jnp.zeros(2), gradient), gradient)
