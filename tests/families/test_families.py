import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from amortis import Conditional, DiagonalNormal, FullRank, LowRank, Point
from amortis._errors import ArgumentError
from amortis.families import Framed, full_rank_parts

pytestmark = pytest.mark.usefixtures("x64")


def _framed(dimension):
    """A full-rank normal in a frame that is not the identity."""
    generator = np.random.default_rng(3)
    root = np.tril(0.4 * generator.normal(size=(dimension, dimension)), -1)
    root += np.diag(np.exp(generator.normal(size=dimension)))
    shift = generator.normal(size=dimension)
    return Framed(FullRank(), jnp.asarray(shift), jnp.asarray(root))


FAMILIES = {
    "DiagonalNormal": lambda dimension: DiagonalNormal(),
    "Point": lambda dimension: Point(),
    "FullRank": lambda dimension: FullRank(),
    "LowRank": lambda dimension: LowRank(max(min(2, dimension), 1)),
    "Framed": _framed,
    "Conditional": lambda dimension: Conditional().for_globals(2),
    "Conditional(FullRank)": lambda dimension: Conditional(FullRank()).for_globals(3),
}
DENSITIES = [name for name in FAMILIES if name != "Point"]


def _some(name, dimension, seed=0):
    """A family with raw parameters that are nothing special."""
    family = FAMILIES[name](dimension)
    size = family.raw_size(dimension)
    raw = 0.5 * np.random.default_rng(seed).normal(size=size)
    return family, jnp.asarray(raw)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dimension", [0, 1, 4])
def test_the_contract_of_shapes(name, dimension):
    family = FAMILIES[name](dimension)
    if name == "LowRank" and not dimension:
        with pytest.raises(ArgumentError, match="expected a rank of at most 0"):
            family.raw_size(dimension)
        return
    raw, noise = family.start(dimension, -2.0), jnp.ones(dimension)
    assert raw.shape == (family.raw_size(dimension),)
    draw = family.sample(raw, noise)
    assert draw.shape == family.standardized(raw, draw).shape == (dimension,)
    assert family.draw(raw, noise)[1].shape == family.log_density(raw, draw).shape == ()
    mean, sd = family.moments(raw)
    assert mean.shape == sd.shape == (dimension,)
    assert family.coordinates(raw).shape == family.natural_step(raw, raw).shape == raw.shape
    shift, change = family.unsettled(family.coordinates(raw), jnp.zeros_like(raw))
    assert float(shift) == float(change) == 0.0


@pytest.mark.parametrize("name", FAMILIES)
def test_coordinates_and_back(name):
    family, raw = _some(name, 5)
    np.testing.assert_allclose(family.from_coordinates(family.coordinates(raw)), raw, rtol=1e-12)


@pytest.mark.parametrize("name", DENSITIES)
def test_the_map_of_the_noise_gives_the_density_the_entropy_and_the_moments(name):
    # Every family here is a normal at given globals: its map is affine, u(e) = u(0) + J e.
    family, raw = _some(name, 4)
    if name.startswith("Conditional"):
        family, raw = family.given, family.at(raw[None], jnp.zeros(family.globals_))[0]
    zero = jnp.zeros(4)
    mean, root = family.sample(raw, zero), jax.jacobian(lambda e: family.sample(raw, e))(zero)
    covariance = np.asarray(root @ root.T)
    q = stats.multivariate_normal(np.asarray(mean), covariance)
    for value in jnp.asarray(np.random.default_rng(1).normal(size=(5, 4))):
        expected = q.logpdf(value)
        np.testing.assert_allclose(float(family.log_density(raw, value)), expected, rtol=1e-10)
        np.testing.assert_allclose(
            family.sample(raw, family.standardized(raw, value)), value, rtol=1e-9
        )
    np.testing.assert_allclose(float(family.draw(raw, zero)[1]), q.entropy(), rtol=1e-12)
    found_mean, found_sd = family.moments(raw)
    np.testing.assert_allclose(found_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found_sd, np.sqrt(np.diagonal(covariance)), rtol=1e-12)


@pytest.mark.parametrize("name", ["FullRank", "Framed"])
def test_a_mapped_law_is_the_law_of_the_mapped_draw(name):
    family, raw = _some(name, 4)
    inner = family if name == "FullRank" else family.inner
    frame = _framed(4)
    mapped = inner.mapped(raw, frame.shift, frame.root)
    for noise in jnp.asarray(np.random.default_rng(2).normal(size=(3, 4))):
        expected = frame.shift + frame.root @ inner.sample(raw, noise)
        np.testing.assert_allclose(inner.sample(mapped, noise), expected, rtol=1e-12)
    if name == "Framed":
        outer = family.unframed(raw)
        np.testing.assert_allclose(
            inner.sample(outer, noise), family.sample(raw, noise), rtol=1e-12
        )
        np.testing.assert_allclose(family.framed(outer), raw, rtol=1e-9, atol=1e-12)


def test_a_full_rank_normal_of_a_mean_and_a_root_has_them():
    mean, root = jnp.asarray([1.0, -2.0]), jnp.asarray([[2.0, 0.0], [-0.7, 0.1]])
    raw = FullRank().gaussian(mean, root)
    np.testing.assert_allclose(full_rank_parts(raw)[0], mean, rtol=1e-12)
    np.testing.assert_allclose(full_rank_parts(raw)[1], root, rtol=1e-12)


def test_low_rank_covariances_are_diagonal_plus_that_rank():
    family, raw = _some("LowRank", 5)
    root = np.asarray(jax.jacobian(lambda e: family.sample(raw, e))(jnp.zeros(5)))
    scale = np.exp(np.asarray(raw[5:10]))
    beyond = root @ root.T - np.diag(scale**2)
    values = np.linalg.eigvalsh(beyond)
    assert (values[:3] > -1e-12).all()
    np.testing.assert_allclose(values[:3], 0.0, atol=1e-12)
    assert (values[3:] > 1e-2).all()


@pytest.mark.parametrize("name", ["FullRank", "LowRank"])
def test_the_natural_step_solves_with_the_fisher_information_of_the_normal(name):
    # Near L = I and V = 0 both are exact; for the full-rank normal they are exact everywhere.
    family, raw = _some(name, 3)
    raw = raw if name == "FullRank" else family.start(3, 0.2).at[6:].set(0.0)
    gradient = 0.1 * jnp.asarray(np.random.default_rng(4).normal(size=raw.shape))

    def divergence(moved):
        # KL of q(raw) to q(moved), both normal; its Hessian at raw is the Fisher information.
        root, other = (
            jax.jacobian(lambda e, r=r: family.sample(r, e))(jnp.zeros(3)) for r in (raw, moved)
        )
        apart = family.sample(moved, jnp.zeros(3)) - family.sample(raw, jnp.zeros(3))
        inverse = jnp.linalg.inv(other @ other.T)
        trace = jnp.trace(inverse @ root @ root.T) + apart @ inverse @ apart
        return 0.5 * (trace + jnp.linalg.slogdet(other @ other.T)[1])

    fisher = np.asarray(jax.hessian(divergence)(raw))
    if name == "LowRank":
        fisher, gradient = fisher[:6, :6], gradient.at[6:].set(0.0)
        step = np.asarray(family.natural_step(raw, gradient))[:6]
    else:
        step = np.asarray(family.natural_step(raw, gradient))
    np.testing.assert_allclose(fisher @ step, np.asarray(gradient)[: len(step)], rtol=1e-6)


def test_a_conditional_factor_moves_with_the_globals_and_has_their_variance_in_its_own(key):
    family, raw = _some("Conditional", 2)
    draws = 200_000
    t_key, e_key = jax.random.split(key)
    t = jax.random.normal(t_key, (draws, 2), jnp.float64)
    noise = jax.random.normal(e_key, (draws, 2), jnp.float64)
    given = jax.vmap(lambda t: family.at(raw[None], t)[0])(t)
    z = np.asarray(jax.vmap(family.given.sample)(given, noise))
    blocks = np.asarray(raw).reshape(3, 4)
    expected = blocks[0] + np.asarray(t) @ blocks[1:]
    np.testing.assert_allclose(given, expected, rtol=1e-12)
    mean, sd = family.moments(raw)
    # z-scores of two means: false-failure rate 1e-4.
    assert (np.abs(z.mean(axis=0) - mean) / (z.std(axis=0) / draws**0.5) < 4.1).all()
    # By its closed form: E exp(2 (a + b t)) = exp(2 a + 2 |b|^2).
    variance = np.exp(2 * blocks[0, 2:] + 2 * np.square(blocks[1:, 2:]).sum(axis=0))
    variance += np.square(blocks[1:, :2]).sum(axis=0)
    np.testing.assert_allclose(sd, np.sqrt(variance), rtol=0.02)
    still = raw.reshape(3, 4).at[1:, 2:].set(0.0).reshape(-1)
    exact = np.exp(2 * blocks[0, 2:]) + np.square(blocks[1:, :2]).sum(axis=0)
    np.testing.assert_allclose(family.moments(still)[1], np.sqrt(exact), rtol=1e-12)


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
    assert float(point.draw(raw, raw)[1]) == float(point.log_density(raw, raw)) == 0.0
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
