"""What every family, inference function and gradient keeps, in every combination."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy import stats

from amortis.objectives import elbo_draws
from tests.contracts import problem
from tests.contracts.problem import COMBINATIONS, LOCALS, ROWS

PARTITION = ((4, 1), (0, 5), (2, 3))
DRAWS = 3

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
        raw = loss.guide.local_raw(parameters, bound.inputs[index], index)
        one = jax.tree.map(lambda leaf: leaf[0], batch(noise, index))
        theta, z = loss.guide.sample(parameters, raw, one)
        draws = elbo_draws(
            bound, loss.guide, loss.gradient, parameters, batch(noise, index), index
        )
        return raw, theta, z, draws, loss.guide.entropy(parameters, raw), loss.watched(parameters)

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
    def held(moved):
        return _loop_loss(loss, unravel(moved), parameters, noise, gradient)

    value, slopes = value_and_gradient(loss, parameters, noise, None)
    np.testing.assert_allclose(float(value), float(held(point)), rtol=1e-12)
    step = 1e-5
    forward, backward = (
        jax.jit(jax.vmap(held))(point + s * step * jnp.eye(point.size)) for s in (1.0, -1.0)
    )
    expected = np.asarray(forward - backward) / (2 * step)
    np.testing.assert_allclose(ravel_pytree(slopes)[0], expected, rtol=1e-6, atol=2e-8)

    parts = [
        value_and_gradient(loss, parameters, batch(noise, index), jnp.asarray(index))
        for index in PARTITION
    ]
    np.testing.assert_allclose(np.mean([float(v) for v, _ in parts]), float(value), rtol=1e-12)
    averages = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *(g for _, g in parts))
    for average, slope in zip(jax.tree.leaves(averages), jax.tree.leaves(slopes), strict=True):
        np.testing.assert_allclose(average, slope, rtol=1e-10, atol=1e-12)


def _loop_loss(loss, parameters, held, noise, gradient):
    """Minus the ELBO per datum by a loop over draws and rows, with normal densities spelled out."""
    guide, total = loss.guide, 0.0
    raw, held_raw = (guide.local_raw(p, loss.model.inputs, None) for p in (parameters, held))
    point = not guide.global_family.is_density
    for s in range(noise.weight.shape[0]):
        if point:
            theta, log_q = parameters["globals"], jnp.zeros(())
        else:
            mean, log_sd = jnp.split(parameters["globals"], 2)
            theta = mean + jnp.exp(log_sd) * noise.theta[s]
            log_q = _minus_entropy(parameters["globals"], held["globals"], theta, gradient)
        z = []
        for n in range(ROWS):
            mean, log_sd = jnp.split(raw[n], 2)
            z.append(mean + jnp.exp(log_sd) * noise.z[s, n])
            log_q += _minus_entropy(raw[n], held_raw[n], z[n], gradient)
        z = jnp.stack(z)
        terms = loss.model.log_terms(
            {"mean": theta[0], "spread": theta[1:]}, {"z": z[:, 0], "w": z[:, 1:]}
        )
        log_p = terms.prior + jnp.sum(terms.local) + (0.0 if point else terms.log_det)
        total += noise.weight[s] * (log_p - log_q)
    return -total / ROWS


def _minus_entropy(raw, held_raw, value, gradient):
    if gradient == "closed":
        _, log_sd = jnp.split(raw, 2)
        return -jnp.sum(log_sd + 0.5 * jnp.log(2 * jnp.pi * jnp.e))
    mean, log_sd = jnp.split(held_raw, 2)
    return jnp.sum(jax.scipy.stats.norm.logpdf(value, mean, jnp.exp(log_sd)))


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
    bound_on_scores = stats.norm.isf(1e-4 / (2 * scores.size * 12))
    assert np.abs(scores).max() < bound_on_scores


@every_combination
def test_compiled_equals_eager_and_batched_equals_a_loop(bound, family, function, gradient):
    loss = problem.loss_of(bound, family, function, gradient)
    noise, index = batch(problem.noise_of(DRAWS), (4, 1)), jnp.asarray([4, 1])
    several = [problem.parameters_of(loss, seed) for seed in range(3)]
    compiled = eqx.filter_jit(lambda p: loss.value(p, noise, index))
    one_by_one = [float(compiled(parameters)) for parameters in several]
    np.testing.assert_allclose(float(loss.value(several[0], noise, index)), one_by_one[0], rtol=1e-12)
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
