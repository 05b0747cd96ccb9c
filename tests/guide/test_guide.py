import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from amortis import (
    MLP,
    ArgumentError,
    ClosedFormEntropy,
    Constant,
    DiagonalNormal,
    Point,
    Polynomial,
    StickTheLanding,
    Table,
    from_density,
)
from amortis.guide import Guide, Noise
from amortis.guide.layout import SiteLayout
from amortis.objectives import elbo_draws


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def bound(inputs, globals_=None, locals_=None):
    return from_density(
        lambda theta: sum((-0.5 * jnp.sum(v**2) for v in theta.values()), jnp.zeros(())),
        lambda theta, z, x: sum((-0.5 * jnp.sum(v**2) for v in z.values()), 0.0 * x.sum()),
        inputs,
        globals_={"a": (), "b": (2, 2)} if globals_ is None else globals_,
        locals_={"z": (), "w": (2,)} if locals_ is None else locals_,
    )


@given(
    shapes=st.dictionaries(
        st.text("abc", min_size=1, max_size=2),
        st.lists(st.integers(1, 3), max_size=3).map(tuple),
        min_size=1,
        max_size=4,
    ),
    leading=st.lists(st.integers(1, 3), max_size=2).map(tuple),
)
def test_sites_are_laid_end_to_end_and_back(shapes, leading):
    layout = SiteLayout(shapes)
    size = int(np.prod(leading, dtype=int)) * layout.dimension
    vector = jnp.asarray(np.arange(float(size)).reshape(*leading, layout.dimension))
    sites = layout.split(vector)
    assert {name: value.shape for name, value in sites.items()} == {
        name: (*leading, *shape) for name, shape in shapes.items()
    }
    np.testing.assert_array_equal(layout.join(sites), vector)


def test_draws_entropies_and_densities_are_those_of_normals(key):
    guide = Guide.for_model(
        bound(np.arange(6.0)), Polynomial(1), DiagonalNormal(), DiagonalNormal()
    )
    parameters = guide.init(key)
    index = jnp.asarray([4, 1])
    raw = guide.local_raw(parameters, jnp.asarray([[4.0], [1.0]]), index) + 0.3
    generator = np.random.default_rng(0)
    noise = Noise(generator.normal(size=5), generator.normal(size=(2, 3)), np.ones(()))
    theta, z = guide.sample(parameters, raw, noise)
    mean, log_sd = np.split(np.asarray(parameters["globals"]), 2)
    draw = mean + np.exp(log_sd) * noise.theta
    np.testing.assert_allclose(float(theta["a"]), draw[0], rtol=1e-12)
    np.testing.assert_allclose(theta["b"], draw[1:].reshape(2, 2), rtol=1e-12)
    means, log_sds = np.split(np.asarray(raw), 2, axis=1)
    rows = means + np.exp(log_sds) * noise.z
    np.testing.assert_allclose(z["z"], rows[:, 0], rtol=1e-12)
    np.testing.assert_allclose(z["w"], rows[:, 1:], rtol=1e-12)
    of_theta, of_rows = guide.log_density(parameters, raw, theta, z)
    expected = stats.norm.logpdf(draw, mean, np.exp(log_sd)).sum()
    np.testing.assert_allclose(float(of_theta), expected, rtol=1e-12)
    expected = stats.norm.logpdf(rows, means, np.exp(log_sds)).sum(axis=1)
    np.testing.assert_allclose(of_rows, expected, rtol=1e-12)
    of_theta = guide.global_family.draw(parameters["globals"], jnp.asarray(noise.theta))[1]
    of_rows = guide.local_entropy(parameters, raw, noise)
    np.testing.assert_allclose(float(of_theta), stats.norm(0, np.exp(log_sd)).entropy().sum())
    np.testing.assert_allclose(of_rows, stats.norm(0, np.exp(log_sds)).entropy().sum(axis=1))


@pytest.mark.parametrize("function", [Constant(), Table(), Polynomial(2), MLP()])
def test_it_starts_near_zero_at_unit_scale(key, function):
    inputs = np.random.default_rng(0).normal(5.0, 100.0, size=(50, 2))
    guide = Guide.for_model(bound(inputs), function, DiagonalNormal(), DiagonalNormal())
    parameters = guide.init(key)
    raw = guide.local_raw(parameters, jnp.asarray(inputs), None)
    means, log_sds = np.split(np.asarray(raw), 2, axis=1)
    assert np.abs(means).max() < 0.6
    assert np.abs(log_sds).max() < 0.6
    narrow = guide.starting_at(-2.0).local_raw(parameters, jnp.asarray(inputs), None)
    np.testing.assert_allclose(
        np.split(np.asarray(narrow), 2, axis=1)[1], log_sds - 2.0, atol=1e-12
    )
    center, log_sd = np.split(np.asarray(parameters["globals"]), 2)
    assert np.abs(center).max() < 0.6
    assert np.abs(log_sd - np.log(0.1)).max() < 0.6


@pytest.mark.parametrize(("globals_", "sd"), [(1000, 0.1), (16_000, 0.025)])
def test_the_nudge_of_many_globals_is_bounded_as_a_whole(key, globals_, sd):
    inputs = np.zeros((5, 2))
    model = bound(inputs, globals_={"many": (globals_,)})
    guide = Guide.for_model(model, Constant(), DiagonalNormal(), DiagonalNormal())
    center, log_sd = np.split(np.asarray(guide.init(key)["globals"]), 2)
    # The sd of so many normals is known to 1 / sqrt(2 n), here at most 2.3 %.
    np.testing.assert_allclose([center.std(), log_sd.std()], sd, rtol=0.1)


def contexts(guide, inputs):
    """What the inference function sees: read off by a function that returns its context."""
    seen = []

    class Spy(type(guide.inference)):
        def __call__(self, parameters, context, index):
            seen.append(context)
            return super().__call__(parameters, context, index)

    spied = Guide.for_model(bound(inputs), Spy(), DiagonalNormal(), DiagonalNormal())
    spied.local_raw(spied.init(jax.random.key(0)), jnp.asarray(inputs), None)
    return np.asarray(seen[0])


@pytest.mark.parametrize("function", [MLP(), Polynomial(1)])
def test_inputs_are_standardized_whatever_their_units(function):
    generator = np.random.default_rng(0)
    inputs = np.column_stack(
        [generator.normal(1e6, 1.0, 200), generator.normal(0.0, 1e-4, 200), np.full(200, 3.0)]
    )
    guide = Guide.for_model(bound(inputs), function, DiagonalNormal(), DiagonalNormal())
    context = contexts(guide, inputs)
    assert np.isfinite(context).all()
    np.testing.assert_allclose(context.mean(axis=0), 0.0, atol=1e-6)
    if isinstance(function, MLP):
        np.testing.assert_allclose(context.std(axis=0), [1.0, 1.0, 0.0], atol=1e-6)


def test_a_polynomial_sees_correlated_inputs_decorrelated():
    generator = np.random.default_rng(0)
    first = generator.normal(size=300)
    inputs = np.column_stack([first, first + 0.1 * generator.normal(size=300)])
    guide = Guide.for_model(bound(inputs), Polynomial(), DiagonalNormal(), DiagonalNormal())
    context = contexts(guide, inputs)
    np.testing.assert_allclose(context.T @ context / 300, np.eye(2), atol=1e-8)


@settings(max_examples=10)
@given(st.integers(1, 20), st.integers(0, 5))
def test_a_factor_of_a_row_does_not_depend_on_the_batch(size, seed):
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(size, 2))
    guide = Guide.for_model(bound(inputs), Table(), DiagonalNormal(), DiagonalNormal())
    parameters = jax.tree.map(
        lambda p: p + generator.normal(size=p.shape), guide.init(jax.random.key(seed))
    )
    index = jnp.asarray(generator.integers(0, size, size=3))
    part = guide.local_raw(parameters, jnp.asarray(inputs)[index], index)
    whole = guide.local_raw(parameters, jnp.asarray(inputs), None)
    np.testing.assert_allclose(part, whole[index], rtol=1e-12)


def test_locals_need_a_density():
    with pytest.raises(ArgumentError, match=r"locals_ is Point\(\); expected a family with") as e:
        Guide.for_model(bound(np.arange(3.0)), Table(), DiagonalNormal(), Point())
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("gradient", [ClosedFormEntropy(), StickTheLanding()])
def test_a_model_without_globals_has_an_elbo(key, gradient):
    model = bound(np.arange(4.0), globals_={})
    guide = Guide.for_model(model, Table(), DiagonalNormal(), DiagonalNormal())
    parameters = guide.init(key)
    noise = Noise(jnp.zeros((2, 0)), jnp.ones((2, 4, 3)), jnp.full(2, 0.5))
    values = elbo_draws(model, guide, gradient, parameters, noise, None)
    # At the start q is N(0, 1), and z = 1: -log q(z) leaves the constants that log p lacks.
    np.testing.assert_allclose(values, np.full(2, 6.0 * np.log(2 * np.pi)), rtol=1e-12)
