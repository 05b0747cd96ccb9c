"""Log terms against loops over rows with SciPy's densities, and row slicing on random shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from amortis import from_density, from_numpyro
from tests.model.zoo import plain


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def hierarchy(y, k, exposure):
    """Poisson and normal observations of a row that has a rate and two effects."""
    shape = numpyro.sample("shape", dist.LogNormal(jnp.zeros(()), 0.5))
    sds = numpyro.sample("sds", dist.HalfNormal(jnp.ones(2)).to_event(1))
    with numpyro.plate("rows", y.shape[0]):
        rate = numpyro.sample("rate", dist.Gamma(shape, 1.5))
        effect = numpyro.sample("effect", dist.Normal(jnp.zeros(2), sds).to_event(1))
        numpyro.sample("k", dist.Poisson(exposure * rate), obs=k)
        numpyro.sample("y", dist.Normal(effect, 0.4).to_event(1), obs=y)


def test_log_local_is_a_loop_over_rows():
    generator = np.random.default_rng(0)
    n = 9
    y, k = generator.normal(size=(n, 2)), generator.poisson(2.0, size=n)
    exposure = generator.uniform(0.5, 2.0, size=n)
    bound = from_numpyro(hierarchy, y, k.astype(float), exposure=exposure)
    theta = {"shape": generator.normal(), "sds": generator.normal(size=2)}
    z = {"rate": generator.normal(size=n), "effect": generator.normal(size=(n, 2))}
    # Positive sites are exponentials of their unconstrained values, with that log determinant.
    shape, sds = np.exp(theta["shape"]), np.exp(theta["sds"])
    log_prior = stats.lognorm.logpdf(shape, 0.5) + theta["shape"]
    log_prior += sum(stats.halfnorm.logpdf(s) + u for s, u in zip(sds, theta["sds"], strict=True))
    expected = []
    for i in range(n):
        rate = np.exp(z["rate"][i])
        row = stats.gamma.logpdf(rate, shape, scale=1 / 1.5) + z["rate"][i]
        row += sum(stats.norm.logpdf(e, 0, s) for e, s in zip(z["effect"][i], sds, strict=True))
        row += stats.poisson.logpmf(k[i], exposure[i] * rate)
        row += sum(stats.norm.logpdf(a, e, 0.4) for a, e in zip(y[i], z["effect"][i], strict=True))
        expected.append(row)
    theta, z = jax.tree.map(jnp.asarray, (theta, z))
    terms = bound.log_terms(theta, z)
    np.testing.assert_allclose(terms.local, expected, rtol=1e-10)
    np.testing.assert_allclose(float(bound.log_prior(theta)), log_prior, rtol=1e-10)
    np.testing.assert_allclose(
        float(terms.log_det), float(theta["shape"] + theta["sds"].sum()), rtol=1e-12
    )
    total = log_prior + sum(expected)
    np.testing.assert_allclose(float(bound.log_joint(theta, z)), total, rtol=1e-10)


@settings(max_examples=8)  # every shape compiles
@given(
    rows=st.integers(1, 12),
    latents=st.integers(1, 3),
    columns=st.integers(1, 3),
    data=st.data(),
)
def test_any_rows_of_any_shape_are_those_of_the_whole(rows, latents, columns, data):
    index = jnp.asarray(data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=5)))
    generator = np.random.default_rng(rows)
    x = generator.normal(size=(rows, columns))

    def model(x):
        loadings = numpyro.sample(
            "loadings", dist.Normal(jnp.zeros((latents, columns)), 1.0).to_event(2)
        )
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(latents), 1.0).to_event(1))
            numpyro.sample("x", dist.Normal(z @ loadings, 0.5).to_event(1), obs=x)

    bound = from_numpyro(model, x)
    theta = {"loadings": jnp.asarray(generator.normal(size=(latents, columns)))}
    z = {"z": jnp.asarray(generator.normal(size=(rows, latents)))}
    whole = bound.log_local(theta, z)
    part = bound.log_local(theta, {"z": z["z"][index]}, bound.rows(index))
    np.testing.assert_allclose(part, whole[index], rtol=1e-10)
    np.testing.assert_allclose(
        float(bound.log_joint(theta, z)), float(bound.log_prior(theta) + whole.sum()), rtol=1e-12
    )
    assert bound.inputs.shape == (rows, columns)


def test_from_density_is_from_numpyro():
    x, sd = np.random.default_rng(0).normal(size=8), 0.7
    log = jax.scipy.stats.norm.logpdf
    by_hand = from_density(
        lambda theta: log(theta["theta"], 0.0, 10.0),
        lambda theta, z, row: log(z["z"], theta["theta"], 1.0) + log(row, z["z"], sd),
        x,
        globals_={"theta": ()},
        locals_={"z": ()},
    )
    written = from_numpyro(plain, x, sd)
    theta = {"theta": jnp.asarray(0.3)}
    z = {"z": jnp.asarray(np.random.default_rng(1).normal(size=8))}
    for method in ("log_local", "log_joint"):
        np.testing.assert_allclose(
            getattr(by_hand, method)(theta, z), getattr(written, method)(theta, z), rtol=1e-12
        )
    np.testing.assert_allclose(by_hand.log_prior(theta), written.log_prior(theta), rtol=1e-12)
    assert (by_hand.size, by_hand.inputs.shape) == (8, (8, 1))


def test_from_density_adds_the_log_determinants_of_its_constraints():
    constraints = dist.constraints
    generator = np.random.default_rng(0)
    data = {"y": generator.normal(size=(6, 2)), "n": generator.integers(0, 5, size=6)}

    def log_local(theta, z, row):
        value = jax.scipy.stats.gamma.logpdf(z["rate"], theta["shape"])
        value += jnp.sum(jax.scipy.stats.norm.logpdf(row["y"], z["share"][:2], 1.0))
        return value + row["n"].astype(value.dtype) * jnp.log(z["rate"]) - z["rate"]

    bound = from_density(
        lambda theta: -theta["shape"],
        log_local,
        data,
        globals_={"shape": ()},
        locals_={"rate": (), "share": (3,)},
        supports={
            "shape": constraints.positive,
            "rate": constraints.positive,
            "share": constraints.simplex,
        },
    )
    assert dict(bound.locals_) == {"rate": (), "share": (2,)}
    theta = {"shape": jnp.asarray(0.2)}
    z = {
        "rate": jnp.asarray(generator.normal(size=6)),
        "share": jnp.asarray(generator.normal(size=(6, 2))),
    }
    values = bound.constrain(theta, z)
    np.testing.assert_allclose(values["share"].sum(axis=1), np.ones(6), rtol=1e-12)
    local = bound.log_local(theta, z)
    simplex = dist.biject_to(constraints.simplex)
    for i in range(6):
        rate, share = float(values["rate"][i]), np.asarray(values["share"][i])
        row = stats.gamma.logpdf(rate, np.exp(0.2)) + float(z["rate"][i])
        row += stats.norm.logpdf(data["y"][i], share[:2], 1.0).sum()
        row += data["n"][i] * np.log(rate) - rate
        jacobian = jax.jacobian(lambda u: simplex(u)[:2])(z["share"][i])
        row += np.linalg.slogdet(jacobian)[1]
        np.testing.assert_allclose(float(local[i]), row, rtol=1e-10)
    np.testing.assert_allclose(float(bound.log_prior(theta)), -np.exp(0.2) + 0.2, rtol=1e-12)


def test_inputs_lay_all_row_aligned_arrays_side_by_side():
    def model(data, offset):
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", data["y"].shape[0]):
            z = numpyro.sample("z", dist.Normal(theta, 1.0))
            mean = z + offset.sum() + data["flag"].astype(z.dtype)
            numpyro.sample("y", dist.Normal(mean[..., None], 1.0).to_event(1), obs=data["y"])

    y, flag = np.arange(8.0).reshape(4, 2), np.array([True, False, True, True])
    bound = from_numpyro(model, {"y": y, "flag": flag}, offset=np.ones(3))
    assert bound.input_names == ("data['flag']", "data['y'][0]", "data['y'][1]")
    np.testing.assert_array_equal(bound.inputs, np.column_stack([flag, y]))
