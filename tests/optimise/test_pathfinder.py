import functools
import sys

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from amortis._errors import ArgumentError, MissingDependencyError, NonFiniteDensityError
from amortis.optimise.pathfinder import pathfinder, random_starts, resampled

# BlackJAX compiles some two hundred small programs for new shapes, so all tests share these.
DRAWS = 50
OPTIONS = {"draws": DRAWS, "elbo_draws": DRAWS, "most_iterations": 12}
STARTS = jnp.asarray([[1.0, 1.5], [-1.0, -0.5], [1.8, 0.3], [-1.5, -1.0]])
KEY, NEXT = jax.random.key(20240731), jax.random.key(1)

COVARIANCE = np.asarray([[1.0, 1.2], [1.2, 2.25]], np.float32)  # of correlation 0.8
PRECISION = np.linalg.inv(COVARIANCE)
CENTER = np.asarray([0.5, -1.0], np.float32)


@pytest.fixture(scope="module", autouse=True)
def _compile_quickly():
    """Nearly all the time goes into compiling, BlackJAX's own calls too; this halves it."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def gaussian(x):
    return -0.5 * (x - CENTER) @ PRECISION @ (x - CENTER)


def banana(x):
    return -0.125 * x[0] ** 2 - 2.0 * (x[1] - 0.5 * x[0] ** 2) ** 2


def two_modes(x):
    return jax.nn.logsumexp(-0.5 * jnp.stack([jnp.sum((x - 4.0) ** 2), jnp.sum((x + 4.0) ** 2)]))


def rosenbrock(x):
    return -100.0 * (x[1] - x[0] ** 2) ** 2 - (1.0 - x[0]) ** 2


def half(outside, x):
    """A Gaussian about (3, 1), but `outside` where the first coordinate is negative."""
    return jnp.where(x[0] > 0, -0.5 * jnp.sum((x - np.asarray([3.0, 1.0], x.dtype)) ** 2), outside)


zero_half = functools.partial(half, -np.inf)
nan_half = functools.partial(half, np.nan)


@functools.cache
def paths(log_density):
    return pathfinder(log_density, STARTS, KEY, **OPTIONS)


@functools.cache
def direct(log_density):
    """BlackJAX's own multi-path Pathfinder, and 1000 draws that it resamples."""
    algorithm = blackjax.multipathfinder(log_density)
    state, _ = algorithm.init(KEY, STARTS, DRAWS, maxcor=6, maxiter=12)
    with jax.numpy_dtype_promotion("standard"):
        return state, algorithm.sample(NEXT, state, 1000)


@pytest.mark.parametrize("log_density", [pytest.param(gaussian, marks=pytest.mark.slow), banana])
def test_several_paths_are_blackjaxs_to_the_bit(log_density):
    found, (state, again) = paths(log_density), direct(log_density)
    assert not found.failed.any()
    assert np.array_equal(found.draws, state.samples)
    assert np.array_equal(found.log_densities, state.logp)
    assert np.array_equal(found.log_proposals, state.logq)
    assert np.array_equal(found.elbos, state.path_states.elbo)
    assert np.array_equal(found.log_weights, state.logp - state.logq)
    assert np.array_equal(resampled(found, NEXT, 1000), again)


def test_one_path_is_blackjaxs_to_the_bit():
    found = pathfinder(gaussian, STARTS[0], KEY, draws=DRAWS, most_iterations=12)
    first, second = jax.random.split(KEY)
    state, _ = blackjax.pathfinder.approximate(first, gaussian, STARTS[0], 5, maxcor=6, maxiter=12)
    draws, log_proposals = blackjax.pathfinder.sample(second, state, DRAWS)
    assert np.array_equal(found.draws, draws[None])
    assert np.array_equal(found.log_proposals, log_proposals[None])
    assert np.array_equal(found.elbos, state.elbo[None])
    assert np.array_equal(found.log_densities, jax.vmap(gaussian)(draws)[None])


def test_more_draws_than_for_the_elbo_come_from_the_same_gaussians():
    many = pathfinder(gaussian, STARTS, KEY, **OPTIONS | {"draws": 70})
    assert many.draws.shape == (4, 70, 2)
    assert np.array_equal(many.means, paths(gaussian).means)
    assert np.array_equal(many.roots, paths(gaussian).roots)


@pytest.mark.parametrize("log_density", [gaussian, banana, two_modes])
def test_the_gaussians_are_those_that_blackjax_draws_from(log_density):
    found = paths(log_density)
    for mean, root, draws, log_q in zip(
        found.means, found.roots, found.draws, found.log_proposals, strict=True
    ):
        assert np.all(np.diag(root) > 0) and np.array_equal(root, np.tril(root))
        covariance = np.asarray(root, np.float64) @ np.asarray(root, np.float64).T
        expected = stats.multivariate_normal(mean, covariance).logpdf(draws)
        np.testing.assert_allclose(log_q, expected, atol=1e-4)


def test_a_correlated_gaussian_is_recovered():
    found = paths(gaussian)
    assert not found.cut_short.any()
    for mean, root, elbo in zip(found.means, found.roots, found.elbos, strict=True):
        ratio = PRECISION @ root @ root.T
        away = mean - CENTER
        divergence = 0.5 * (np.trace(ratio) - 2.0 - np.linalg.slogdet(ratio)[1])
        divergence += 0.5 * away @ PRECISION @ away
        assert divergence < 0.02
        evidence = np.log(2.0 * np.pi) + 0.5 * np.linalg.slogdet(COVARIANCE)[1]
        np.testing.assert_allclose(elbo, evidence, atol=0.05)
    draws = resampled(found, NEXT, 1000)
    np.testing.assert_allclose(draws.mean(axis=0), CENTER, atol=0.3)
    np.testing.assert_allclose(np.cov(draws.T), COVARIANCE, rtol=0.3)


def test_blackjaxs_mean_lies_on_the_wrong_side_of_a_start():
    # Stopped after one step, only the start may be chosen. Its covariance is the identity, so the
    # paper's mean is the mode, exactly. If this fails, BlackJAX has mended the sign, and the
    # docstring of `pathfinder` and the code of `_gaussian` want mending too.
    normal = lambda x: -0.5 * jnp.sum(x**2)  # noqa: E731
    found = pathfinder(normal, STARTS, KEY, tolerance=10.0, **OPTIONS)
    assert np.array_equal(found.iterates, [0, 0, 0, 0])
    np.testing.assert_allclose(found.means, 2.0 * STARTS, rtol=1e-6)
    np.testing.assert_allclose(found.draws.mean(axis=1), 2.0 * STARTS, atol=0.6)


def test_paths_reach_different_modes_and_are_pooled():
    found = paths(two_modes)
    assert not found.failed.any()
    expected = np.asarray([4.0, -4.0, 4.0, -4.0])[:, None]
    np.testing.assert_allclose(found.means, np.broadcast_to(expected, (4, 2)), atol=0.1)
    draws = resampled(found, NEXT, 1000)
    upper = np.asarray(draws[:, 0] > 0)
    assert 0.4 < upper.mean() < 0.6
    np.testing.assert_allclose(draws[upper].mean(axis=0), 4.0, atol=0.3)


def test_resampling_bends_gaussians_towards_a_banana():
    # The distance from the bend has the mean √(2/π)/2 under the banana.
    distance = lambda x: float(jnp.mean(jnp.abs(x[..., 1] - 0.5 * x[..., 0] ** 2)))  # noqa: E731
    expected = 0.5 * np.sqrt(2.0 / np.pi)
    before = distance(paths(banana).draws)
    after = distance(resampled(paths(banana), NEXT, 1000))
    assert abs(after - expected) < 0.5 * abs(before - expected)


@pytest.mark.parametrize("log_density", [zero_half, nan_half], ids=["zero", "nan"])
def test_failed_paths_are_told_and_left_out(log_density):
    found = paths(log_density)
    failed = np.asarray(found.failed)
    assert failed.tolist() == [False, True, False, True]
    assert found.best in (0, 2)
    assert np.isnan(found.means[failed]).all() and np.isnan(found.roots[failed]).all()
    assert (found.elbos[failed] == -np.inf).all()
    assert (found.log_weights[failed] == -np.inf).all()
    np.testing.assert_allclose(found.means[~failed], [[3.0, 1.0]] * 2, atol=0.1)
    draws = resampled(found, NEXT, 1000)
    pool = {tuple(point) for point in np.asarray(found.draws[~failed]).reshape(-1, 2)}
    assert {tuple(point) for point in np.asarray(draws)} <= pool
    assert (draws[:, 0] > 0).all()
    np.testing.assert_allclose(draws.mean(axis=0), [3.0, 1.0], atol=0.3)


def test_blackjax_itself_keeps_failed_paths():
    # What the record guards against: NaN makes every resampled draw the first of the first path.
    state, draws = direct(nan_half)
    assert np.array_equal(draws, np.broadcast_to(state.samples[0, 0], (1000, 2)))
    state, _ = direct(zero_half)
    assert np.isfinite(state.samples).all()
    assert np.isinf(state.path_states.elbo).tolist() == [False, True, False, True]


def test_a_start_at_the_mode_is_a_failure_for_want_of_curvature():
    found = pathfinder(gaussian, STARTS.at[0].set(CENTER), KEY, **OPTIONS)
    assert found.failed.tolist() == [True, False, False, False]
    assert found.elbos[0] == -np.inf


def test_paths_that_were_cut_short_say_so():
    assert paths(rosenbrock).cut_short.any()


@pytest.mark.parametrize(
    "log_density",
    [lambda x: jnp.nan * jnp.sum(x), lambda x: -jnp.inf + 0.0 * jnp.sum(x), lambda x: 0.0 * x[0]],
    ids=["nan", "zero", "flat"],
)
def test_all_paths_failing_raises_one_line(log_density, key):
    with pytest.raises(NonFiniteDensityError, match="all of its paths, 4 in number") as caught:
        pathfinder(log_density, STARTS, key, **OPTIONS)
    assert "\n" not in str(caught.value)


def test_starts_are_uniform_between_minus_two_and_two(key):
    starts = random_starts(key, 500, 4)
    assert starts.shape == (500, 4)
    assert stats.kstest(np.ravel(starts), stats.uniform(-2.0, 4.0).cdf).pvalue > 0.01
    assert np.array_equal(starts, random_starts(key, 500, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": 0}, "draws is 0"),
        ({"history": 0}, "history is 0"),
        ({"elbo_draws": 0}, "elbo_draws is 0"),
        ({"most_iterations": 0}, "most_iterations is 0"),
        ({"starts": jnp.ones((0, 2))}, r"shape \(0, 2\)"),
        ({"starts": jnp.ones((2, 2, 2))}, r"shape \(2, 2, 2\)"),
    ],
)
def test_arguments_out_of_range_are_refused(change, message, key):
    arguments = {"log_density": banana, "starts": jnp.ones((2, 2)), "key": key} | change
    with pytest.raises(ArgumentError, match=message):
        pathfinder(**arguments)


def test_without_blackjax_the_error_says_what_to_install(key, monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "amortis\[pathfinder\]"'):
        pathfinder(banana, jnp.ones((2, 2)), key)
