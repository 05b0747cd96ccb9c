"""What every family, inference function and gradient keeps, in every combination."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.scipy.stats import norm
from scipy import stats

from amortis.objectives import elbo_draws
from tests.contracts import problem
from tests.contracts.problem import COMBINATIONS, LOCALS, ROWS

PARTITION = ((4, 1), (0, 5), (2, 3))
DRAWS = 2

every_combination = pytest.mark.parametrize(("family", "function", "gradient"), COMBINATIONS)


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def bound():
    return problem.bound()


@eqx.filter_jit
def value_and_gradient(loss, parameters, noise, index):
    return jax.value_and_grad(loss.value)(parameters, noise, index)


def batch(noise, index):
    return eqx.tree_at(lambda n: n.z, noise, noise.z[:, jnp.asarray(index)])


@every_combination
def test_shapes_and_number_of_parameters(bound, family, function, gradient):
    loss = problem.loss_of(bound, family, function, gradient)
    parameters = jax.eval_shape(loss.guide.init, jax.random.key(0))
    assert set(parameters) == {"globals", "locals"}
    assert parameters["globals"].size == problem.PARAMETERS_OF_GLOBALS[family]
    counts = sum(leaf.size for leaf in jax.tree.leaves(parameters["locals"]))
    assert counts == problem.PARAMETERS_OF_FUNCTION[function]

    def everything(parameters, noise, index):
        if loss.guide.row_elbos is None:  # else there are no factors without the model
            raw = loss.guide.local_raw(parameters, bound.inputs[index], index)
            assert raw.shape == (2, 2 * LOCALS)
        raw = loss.guide.fitted_raw(parameters, index)
        one = jax.tree.map(lambda leaf: leaf[0], batch(noise, index))
        theta, z = loss.guide.sample(parameters, raw, one)
        draws = elbo_draws(bound, loss.guide, loss.gradient, parameters, batch(noise, index), index)
        entropy = (jnp.zeros(()), loss.guide.local_entropy(parameters, raw, one))
        return raw, theta, z, draws, entropy, loss.watched(parameters)

    index = jnp.asarray([3, 1])
    raw, theta, z, draws, entropy, watched = jax.eval_shape(
        everything, parameters, problem.noise_of(DRAWS), index
    )
    assert raw.shape == (2, 2 * LOCALS)
    assert {n: s.shape for n, s in theta.items()} == {"mean": (), "spread": (2,)}
    assert {n: s.shape for n, s in z.items()} == {"z": (2,), "w": (2, 2)}
    assert draws.shape == (DRAWS,)
    assert [part.shape for part in entropy] == [(), (2,)]
    assert [part.shape for part in watched] == [(3,), (3,)]


@every_combination
def test_gradients_are_central_differences_and_batches_average_to_the_whole(
    bound, family, function, gradient
):
    loss = problem.loss_of(bound, family, function, gradient)
    parameters, noise = problem.parameters_of(loss), problem.noise_of(DRAWS)
    point, unravel = ravel_pytree(parameters)

    # Stick-the-landing holds the parameters inside log q: its differences are taken with them held.
    @jax.jit
    @jax.vmap
    def held(moved):
        return _plain_loss(loss, unravel(moved), parameters, noise, gradient)

    step = 1e-5
    offsets = step * np.eye(point.size)
    values = held(point + np.concatenate([np.zeros_like(offsets[:1]), offsets, -offsets]))
    forward, backward = np.split(np.asarray(values[1:]), 2)

    value, slopes = value_and_gradient(loss, parameters, noise, None)
    np.testing.assert_allclose(float(value), float(values[0]), rtol=1e-12)
    expected = (forward - backward) / (2 * step)
    np.testing.assert_allclose(ravel_pytree(slopes)[0], expected, rtol=1e-6, atol=2e-8)

    parts = [
        value_and_gradient(loss, parameters, batch(noise, index), jnp.asarray(index))
        for index in PARTITION
    ]
    np.testing.assert_allclose(np.mean([float(v) for v, _ in parts]), float(value), rtol=1e-12)
    averages = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *(g for _, g in parts))
    for average, slope in zip(jax.tree.leaves(averages), jax.tree.leaves(slopes), strict=True):
        np.testing.assert_allclose(average, slope, rtol=1e-10, atol=1e-12)


def _plain_loss(loss, parameters, held, noise, gradient):
    """Minus the ELBO per datum, with normal densities and the model's densities spelled out."""
    guide = loss.guide
    raw, held_raw = (guide.fitted_raw(p, None) for p in (parameters, held))
    mean, log_sd = jnp.split(raw, 2, axis=1)
    z = mean + jnp.exp(log_sd) * noise.z  # draws, rows, dimensions
    log_q = _log_q(raw, held_raw, z, gradient).sum(axis=(1, 2))
    if guide.global_family.is_density:
        mean, log_sd = jnp.split(parameters["globals"], 2)
        theta = mean + jnp.exp(log_sd) * noise.theta
        log_q += _log_q(parameters["globals"], held["globals"], theta, gradient).sum(axis=1)
    else:
        theta = jnp.broadcast_to(parameters["globals"], noise.theta.shape)
    log_p = problem.log_joint(theta, z, loss.model.data, guide.global_family.is_density)
    return -jnp.vdot(noise.weight, log_p - log_q) / ROWS


def _log_q(raw, held_raw, value, gradient):
    if gradient == "closed":
        _, log_sd = jnp.split(raw, 2, axis=-1)
        minus_entropy = -(log_sd + 0.5 * jnp.log(2 * jnp.pi * jnp.e))
        return jnp.broadcast_to(minus_entropy, value.shape)
    mean, log_sd = jnp.split(held_raw, 2, axis=-1)
    return norm.logpdf(value, mean, jnp.exp(log_sd))


@pytest.mark.parametrize("family", problem.FAMILIES)
@pytest.mark.parametrize("function", problem.FUNCTIONS)
def test_sticking_the_landing_has_the_same_expected_gradient(bound, family, function):
    closed, stick = (
        problem.loss_of(bound, family, function, gradient) for gradient in ("closed", "stick")
    )
    parameters, draws = problem.parameters_of(closed), 4000
    noise = problem.noise_of(draws, seed=5)

    @jax.jit
    def differences(parameters, noise):
        def one(theta, z):
            single = type(noise)(theta[None], z[None], jnp.ones(1))
            slopes = (ravel_pytree(jax.grad(loss.value)(parameters, single, None))[0]
                      for loss in (closed, stick))  # fmt: skip
            first, second = slopes
            return first - second

        return jax.vmap(one)(noise.theta, noise.z)

    paired = np.asarray(differences(parameters, noise))
    error = paired.std(axis=0, ddof=1) / np.sqrt(draws)
    moving = error > 1e-12  # the gradients of points are equal draw by draw
    assert moving.any()
    assert np.abs(paired[:, ~moving]).max(initial=0.0) < 1e-10
    scores = paired.mean(axis=0)[moving] / error[moving]
    # Bonferroni over all parameters and combinations: false-failure rate below 1e-4 in total.
    bound_on_scores = stats.norm.isf(
        1e-4 / (2 * scores.size * len(problem.FAMILIES) * len(problem.FUNCTIONS))
    )
    assert np.abs(scores).max() < bound_on_scores


@every_combination
def test_compiled_equals_eager_and_batched_equals_a_loop(bound, family, function, gradient):
    loss = problem.loss_of(bound, family, function, gradient)
    noise, index = batch(problem.noise_of(DRAWS), (4, 1)), jnp.asarray([4, 1])
    several = [problem.parameters_of(loss, seed) for seed in range(3)]
    one_by_one = [float(value_and_gradient(loss, p, noise, index)[0]) for p in several]
    eager = float(loss.value(several[0], noise, index))
    np.testing.assert_allclose(eager, one_by_one[0], rtol=1e-12)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
    together = jax.jit(jax.vmap(lambda p: loss.value(p, noise, index)))(stacked)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-12)


@pytest.mark.parametrize("double_precision", [False, True])
@every_combination
def test_the_dtype_is_kept(family, function, gradient, double_precision):
    with jax.enable_x64(double_precision):
        expected = jnp.float64 if double_precision else jnp.float32
        loss = problem.loss_of(_bound_in(double_precision), family, function, gradient)
        parameters = jax.eval_shape(loss.guide.init, jax.random.key(0))
        noise = loss.fresh_noise(jax.random.key(0), 2, ROWS)
        value, slopes = jax.eval_shape(
            jax.value_and_grad(loss.value), parameters, noise, jnp.arange(ROWS)
        )
        fixed = loss.fixed_noise(jax.random.key(1), 8)
        back = jax.eval_shape(lambda p: loss.from_coordinates(loss.coordinates(p)), parameters)
        moments = jax.eval_shape(loss.watched, parameters)
        for leaf in jax.tree.leaves((parameters, noise, value, slopes, fixed, back, moments)):
            assert leaf.dtype == expected


_BOUND = {}


def _bound_in(double_precision):
    if double_precision not in _BOUND:
        _BOUND[double_precision] = problem.bound()
    return _BOUND[double_precision]


@every_combination
def test_search_coordinates_lead_back(bound, family, function, gradient):
    loss = problem.loss_of(bound, family, function, gradient)
    parameters = problem.parameters_of(loss)
    back = loss.from_coordinates(loss.coordinates(parameters))
    for found, leaf in zip(jax.tree.leaves(back), jax.tree.leaves(parameters), strict=True):
        np.testing.assert_allclose(found, leaf, rtol=1e-12)
