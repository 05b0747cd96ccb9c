import functools
import math
import sys

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest
from scipy import integrate, stats

from amortis import numerics
from amortis._errors import ArgumentError, MissingDependencyError
from amortis.families import FullRank, full_rank_parts
from amortis.families.flow import Flow
from amortis.families.flow_layers import AutoregressiveLayers, CouplingLayers
from amortis.families.flow_transformers import Affine, Spline
from amortis.families.flowjax_import import flowjax_modules

SMALL = {"layers": 3, "width": 4, "transformer": Spline(knots=2)}
CHEAP = {"layers": 3, "width": 4, "transformer": Affine()}
FLOWS = {
    "coupling": Flow(CouplingLayers(**SMALL)),
    "coupling of two hidden layers": Flow(CouplingLayers(**CHEAP, depth=2)),
    "autoregressive": Flow(AutoregressiveLayers(**SMALL)),
    "affine autoregressive": Flow(AutoregressiveLayers(**CHEAP)),
}
QUICK = functools.partial(jax.jit, compiler_options=numerics.run_rarely(0))


def somewhere(flow, dimension, size=0.3, seed=0):
    """Raw parameters away from the identity, where no layer is trivial."""
    start = np.asarray(flow.start(dimension, -0.5))
    moved = start + size * np.random.default_rng(seed).standard_normal(start.shape)
    return jnp.asarray(moved, start.dtype)


def noises(count, dimension, seed=1):
    numbers = np.random.default_rng(seed).standard_normal((count, dimension))
    return jnp.asarray(1.5 * numbers)  # also outside the splines


@pytest.mark.parametrize(
    ("name", "dimension"),
    [("coupling", d) for d in (1, 2, 3, 5)]
    + [("autoregressive", d) for d in (2, 3, 5)]  # in one dimension both are a transformer alone
    + [("coupling of two hidden layers", 3), ("affine autoregressive", 3)],
)
@pytest.mark.usefixtures("x64")
def test_the_density_is_that_of_the_map_and_the_inverse_gives_it_back(name, dimension):
    flow = FLOWS[name]
    raw = somewhere(flow, dimension)

    @QUICK
    @jax.vmap
    def both(noise):
        value = flow.sample(raw, noise)
        _, log_det = jnp.linalg.slogdet(jax.jacfwd(lambda e: flow.sample(raw, e))(noise))
        log_q = jnp.sum(jax.scipy.stats.norm.logpdf(noise)) - log_det
        return log_q, -flow.draw(raw, noise)[1], flow.log_density(raw, value), value - noise

    expected, forward, inverse, moved = both(noises(24, dimension))
    assert np.std(np.asarray(moved)) > 0.1  # the map is not trivial
    np.testing.assert_allclose(forward, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(inverse, forward, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "dimension"),
    [("coupling", 0), ("coupling", 1), ("coupling", 3), ("autoregressive", 2)],
)
@pytest.mark.usefixtures("x64")
def test_a_flow_starts_as_the_given_normal(name, dimension):
    flow, generator = FLOWS[name], np.random.default_rng(3)
    affine = jnp.asarray(0.7 * generator.standard_normal(FullRank().raw_size(dimension)))
    raw = flow.started_from(affine)
    assert raw.shape == (flow.raw_size(dimension),)
    expected, root = (np.asarray(part) for part in full_rank_parts(affine))

    @QUICK
    def everything(noise):
        values = jax.vmap(lambda e: flow.sample(raw, e))(noise)
        return values, jax.vmap(lambda u: flow.log_density(raw, u))(values), flow.moments(raw)

    noise = noises(5, dimension)
    values, log_q, (mean, sd) = everything(noise)
    np.testing.assert_allclose(values, expected + noise @ root.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mean, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(sd, np.sqrt(np.sum(root**2, axis=1)), rtol=1e-10)
    if dimension:
        normal = stats.multivariate_normal(expected, root @ root.T)
        np.testing.assert_allclose(log_q, normal.logpdf(values), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["coupling", "autoregressive"])
@pytest.mark.usefixtures("x64")
def test_the_start_is_the_identity_with_gradients_and_the_same_each_time(name):
    flow = FLOWS[name]
    raw = flow.start(3, -1.0)
    noise = jnp.asarray([0.3, -1.2, 2.0])
    np.testing.assert_array_equal(raw, Flow(type(flow.layers)(**SMALL)).start(3, -1.0))

    @QUICK
    @functools.partial(jax.grad, has_aux=True)
    def slope_and_value(raw):
        value = flow.sample(raw, noise)
        return jnp.sum(value**3) + flow.draw(raw, noise)[1], value

    slope, value = slope_and_value(raw)
    np.testing.assert_allclose(value, np.exp(-1.0) * noise, rtol=1e-14)
    weights = np.asarray(slope)[FullRank().raw_size(3) :]
    assert np.isfinite(weights).all() and np.mean(weights != 0.0) > 0.1


@pytest.mark.usefixtures("x64")
def test_a_density_integrates_to_one():
    flow = FLOWS["coupling"]
    one = somewhere(flow, 1, 0.6)
    grid = jnp.linspace(-15.0, 15.0, 20001)
    density = np.exp(QUICK(jax.vmap(lambda u: flow.log_density(one, u[None])))(grid))
    assert abs(integrate.trapezoid(density, grid) - 1.0) < 1e-5
    two = somewhere(flow, 2, 0.2)
    mean, sd = (np.asarray(moment) for moment in QUICK(flow.moments)(two))
    lines = [jnp.linspace(m - 9 * s, m + 9 * s, 401) for m, s in zip(mean, sd, strict=True)]
    points = jnp.stack(jnp.meshgrid(*lines, indexing="ij"), axis=-1)
    density = np.exp(QUICK(jax.vmap(jax.vmap(lambda u: flow.log_density(two, u))))(points))
    rows = integrate.trapezoid(density, lines[1], axis=1)
    assert abs(integrate.trapezoid(rows, lines[0]) - 1.0) < 1e-3


@pytest.mark.usefixtures("x64")
def test_moments_are_those_of_many_draws():
    flow = FLOWS["coupling"]
    raw = somewhere(flow, 3, 0.2)
    noise = jnp.asarray(np.random.default_rng(0).standard_normal((40000, 3)))
    draws = np.asarray(QUICK(jax.vmap(lambda e: flow.sample(raw, e)))(noise))
    mean, sd = QUICK(flow.moments)(raw)
    # Four standard errors of the draws, and as much again for the rule.
    np.testing.assert_allclose(mean, np.mean(draws, 0), atol=float(8 * jnp.max(sd)) / 200)
    np.testing.assert_allclose(sd, np.std(draws, 0), rtol=0.05)


@pytest.mark.usefixtures("x64")
def test_gradients_of_the_density_are_finite_far_outside_the_splines():
    flow = FLOWS["coupling"]
    raw = somewhere(flow, 3, 0.05)
    slopes = QUICK(jax.grad(flow.log_density, argnums=(0, 1)))
    for value in (jnp.asarray([40.0, -30.0, 0.0]), jnp.asarray([0.1, 9.0, -50.0])):
        assert all(jnp.isfinite(slope).all() for slope in slopes(raw, value))


@pytest.mark.usefixtures("x64")
def test_the_affine_part_is_searched_and_mapped_as_a_normal_is():
    flow, raw = FLOWS["coupling"], somewhere(FLOWS["coupling"], 3)
    np.testing.assert_allclose(flow.from_coordinates(flow.coordinates(raw)), raw, rtol=1e-12)
    affine = FullRank().raw_size(3)
    gradient = jnp.linspace(-1.0, 1.0, raw.shape[0])
    moves = flow.unsettled(flow.coordinates(raw), gradient)
    coordinates = FullRank().coordinates(raw[:affine])
    np.testing.assert_allclose(moves, FullRank().unsettled(coordinates, gradient[:affine]))
    step = flow.natural_step(raw, 10.0 * gradient)
    assert step.shape == raw.shape and jnp.max(jnp.abs(step[affine:])) == 2.0
    shift = jnp.asarray([1.0, -2.0, 0.5])
    root = jnp.asarray([[2.0, 0.0, 0.0], [0.3, 0.5, 0.0], [-0.4, 0.2, 1.5]])
    noise = noises(1, 3)[0]
    sample = QUICK(flow.sample)
    expected = shift + root @ sample(raw, noise)
    np.testing.assert_allclose(sample(flow.mapped(raw, shift, root), noise), expected, rtol=1e-10)
    normal = flow.gaussian(shift, root)
    value = sample(normal, noise)
    np.testing.assert_allclose(value, shift + root @ noise, rtol=1e-10)
    np.testing.assert_allclose(flow.standardized(normal, value), noise, rtol=1e-10)


def skewed(u):
    """log Gamma(1) for the first coordinate, the second on a parabola of it; normalized."""
    first = u[0] - jnp.exp(u[0])
    return first + jax.scipy.stats.norm.logpdf(u[1], 0.5 * u[0] ** 2, 0.5)


def fitted_divergence(family, start, steps):
    """KL(q || skewed) in nats after Adam, with its standard error."""
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, steps))

    def divergence(raw, noise):
        return -family.draw(raw, noise)[1] - skewed(family.sample(raw, noise))

    def step(state, key):
        raw, moments = state
        noise = jax.random.normal(key, (128, 2))
        slope = jax.grad(lambda r: jnp.mean(jax.vmap(lambda e: divergence(r, e))(noise)))(raw)
        update, moments = optimizer.update(slope, moments)
        return (optax.apply_updates(raw, update), moments), None

    @jax.jit
    def fit(raw):
        keys = jax.random.split(jax.random.key(5), steps)
        (raw, _), _ = jax.lax.scan(step, (raw, optimizer.init(raw)), keys)
        noise = jax.random.normal(jax.random.key(6), (20000, 2))
        return jax.vmap(lambda e: divergence(raw, e))(noise)

    each = fit(start)
    return float(jnp.mean(each)), float(jnp.std(each)) / math.sqrt(20000)


class Normal(FullRank):
    """The full-rank normal with its entropy at the draw, so that the divergence is read off."""

    def entropy(self, raw, noise):
        return -self.log_density(raw, self.sample(raw, noise))


@pytest.mark.usefixtures("standard_promotion")  # of optax's moments
def test_a_flow_comes_nearer_to_a_skewed_density_than_any_normal():
    normal, _ = fitted_divergence(Normal(), FullRank().start(2, -1.0), 500)
    flow = Flow(CouplingLayers(layers=2, width=16, transformer=Spline(knots=3)))
    start = flow.start(2, -1.0)
    assert start.dtype == jnp.float32
    divergence, error = fitted_divergence(flow, start, 500)
    assert normal > 0.2
    assert -4 * error < divergence < 0.2 * normal


@pytest.mark.parametrize("wrong", [0, -1, 2.5, True, "2", None])
@pytest.mark.parametrize("name", ["layers", "width", "depth"])
@pytest.mark.parametrize("kind", [CouplingLayers, AutoregressiveLayers])
def test_numbers_that_are_no_counts_are_refused(kind, name, wrong, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # which comes first here
    with pytest.raises(ArgumentError, match=rf"^{kind.__name__} {name} is .*; expected .+: .+$"):
        kind(**{name: wrong})


def test_other_wrong_choices_are_refused(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # which comes first here
    with pytest.raises(ArgumentError, match="Spline knots is 0; expected at least 1"):
        Spline(knots=0)
    with pytest.raises(ArgumentError, match=r"Spline reach is -1\.0; expected a positive number"):
        Spline(reach=-1.0)
    with pytest.raises(
        ArgumentError, match=r"CouplingLayers transformer is the class Spline; expected"
    ):
        CouplingLayers(transformer=Spline)
    with pytest.raises(ArgumentError, match=r"Flow layers is the class CouplingLayers; expected"):
        Flow(CouplingLayers)
    with pytest.raises(ArgumentError, match=r"full_rank_raw has 3 numbers; expected"):
        Flow().started_from(jnp.zeros(3))


def test_choices_are_equal_by_what_was_chosen():
    assert (
        Flow(CouplingLayers(width=8))
        == Flow(CouplingLayers(width=8))
        != Flow(CouplingLayers(width=9))
    )
    assert hash(CouplingLayers(width=8)) == hash(CouplingLayers(width=8))
    assert CouplingLayers() != AutoregressiveLayers()


def test_without_flowjax_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flowjax.bijections", None)
    flowjax_modules.cache_clear()
    with pytest.raises(MissingDependencyError, match=r'pip install "amortis\[flows\]"$'):
        flowjax_modules()
    monkeypatch.undo()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "19.0.0")
    with pytest.raises(MissingDependencyError, match=r"needs FlowJAX 19\.1\.2, and 19\.0\.0 is"):
        flowjax_modules()
