"""New data are served by the function alone, and refined with the globals held."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    MLP,
    ArgumentError,
    Constant,
    DataError,
    Polynomial,
    SetNetwork,
    Table,
    Windowed,
    diagnose,
    fit,
    from_density,
    from_numpyro,
    infer,
    refine,
)
from amortis._errors import SlicingError
from tests.exact_models import linear

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def exact():
    return linear.example(100)


@pytest.fixture(scope="module")
def bound(exact):
    return from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)


@pytest.fixture(scope="module")
def fitted(bound):
    return fit(bound, key=KEY, inference=Polynomial(1))


def test_new_rows_get_the_posterior_of_the_closed_form(fitted, exact):
    new = np.linspace(-9.0, 9.0, 37).astype(np.float32)
    post = infer(fitted, new, exact.tau, exact.sigma)
    mean, sd = post.moments()["z"]
    theta = exact.theta[0]
    np.testing.assert_allclose(mean, exact.tau * (new - theta) / exact.v, atol=1e-4)
    np.testing.assert_allclose(sd, exact.sigma / np.sqrt(exact.v), rtol=1e-4)
    for old, now in zip(fitted.moments()["theta"], post.moments()["theta"], strict=True):
        np.testing.assert_allclose(now, old, rtol=1e-6)
    assert post.held and post.model.size == 37
    assert post.posterior(key=KEY, draws=5)["z"].shape == (5, 37)


def test_the_fitted_rows_get_what_they_had(fitted, exact):
    again = infer(fitted, exact.x.astype(np.float32), exact.tau, exact.sigma)
    for old, now in zip(fitted.moments()["z"], again.moments()["z"], strict=True):
        np.testing.assert_allclose(now, old, rtol=1e-5, atol=1e-6)


def test_new_rows_are_refined_with_the_globals_held(bound, exact):
    rough = fit(bound, key=KEY, inference=Constant())
    new = np.linspace(-9.0, 9.0, 30).astype(np.float32)
    post = infer(rough, new, exact.tau, exact.sigma)
    refined = refine(post, key=KEY)
    assert isinstance(refined.guide.inference, Table)
    mean, sd = refined.moments()["z"]
    np.testing.assert_allclose(mean, exact.tau * (new - exact.theta[0]) / exact.v, atol=2e-3)
    np.testing.assert_allclose(sd, exact.sigma / np.sqrt(exact.v), rtol=2e-3)
    np.testing.assert_array_equal(refined.variational["globals"], rough.variational["globals"])


def test_the_gap_on_new_rows_is_that_of_generalization(bound, exact):
    rough = fit(bound, key=KEY, inference=Constant())
    new = np.asarray([30.0, 0.0], np.float32)
    found = diagnose(infer(rough, new, exact.tau, exact.sigma), key=KEY)
    own = exact.tau * (new - exact.theta[0]) / exact.v
    common = float(rough.moments()["z"][0][0])
    expected = 0.5 * (own - common) ** 2 * exact.v / exact.sigma**2
    np.testing.assert_allclose(found.row_gaps, expected, rtol=1e-3, atol=1e-3)


def test_new_groups_of_any_size(key):
    def model(y, group, groups):
        with numpyro.plate("groups", groups):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)

    generator = np.random.default_rng(0)
    group = generator.integers(0, 20, 120)
    y = (generator.normal(size=20)[group] + generator.normal(size=120)).astype(np.float32)
    fitted = fit(from_numpyro(model, y, group, 20), key=key, inference=SetNetwork(width=0))
    y_new, group_new = np.asarray([1.0, 2.0, -1.0], np.float32), np.asarray([0, 0, 2])
    mean, sd = infer(fitted, y_new, group_new, 4).moments()["z"]
    np.testing.assert_allclose(mean, [1.0, 0.0, -0.5, 0.0], atol=5e-3)
    np.testing.assert_allclose(sd, np.asarray([3.0, 1.0, 2.0, 1.0]) ** -0.5, rtol=5e-3)


def test_categories_keep_their_columns_and_unseen_ones_are_refused(key):
    def model(x, kind):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z + a[kind], 1.0), obs=x)

    generator = np.random.default_rng(0)
    kind = generator.integers(0, 3, 90)
    x = (generator.normal(size=90) + 2.0 * kind).astype(np.float32)
    fitted = fit(from_numpyro(model, x, kind), key=key, inference=Polynomial(1))
    mean, _ = infer(fitted, x[:5], np.full(5, kind[0])).moments()["z"]
    whole, _ = infer(fitted, x, np.full(90, kind[0])).moments()["z"]
    np.testing.assert_allclose(mean, whole[:5], rtol=1e-5, atol=1e-6)
    with pytest.raises(DataError, match="category kind=7, which was not among"):
        infer(fitted, x[:5], np.asarray([0, 1, 2, 7, 7]))


def test_a_new_series_of_another_length(key):
    def model(x):
        with numpyro.plate("units", x.shape[0] - 1):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("sum", dist.Normal(z, 1.0), obs=x[1:] + x[:-1])

    x = np.random.default_rng(0).normal(size=60).astype(np.float32)
    fitted = fit(from_numpyro(model, x), key=key)
    new = np.asarray([1.0, 2.0, -1.0, 0.5], np.float32)
    mean, _ = infer(fitted, new).moments()["z"]
    np.testing.assert_allclose(mean, 0.5 * (new[1:] + new[:-1]), atol=0.02)


def test_a_series_as_short_as_a_window_and_no_shorter(key):
    def model(x):
        with numpyro.plate("units", x.shape[0] - 1):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("sum", dist.Normal(z, 1.0), obs=x[1:] + x[:-1])

    x = np.random.default_rng(0).normal(size=60).astype(np.float32)
    fitted = fit(from_numpyro(model, x), key=key)
    mean, _ = infer(fitted, np.asarray([1.0, 2.0])).moments()["z"]
    np.testing.assert_allclose(mean, [1.5], atol=0.03)
    with pytest.raises(DataError, match=r"1 rows, but each of 'units' reads .* a window of 2"):
        infer(fitted, np.asarray([1.0]))


def test_a_series_in_which_no_window_is_whole_is_refused(bound, exact):
    windowed = fit(bound, key=KEY, inference=Windowed(Polynomial(1), (-1, 0, 1)))
    with pytest.raises(DataError, match=r"2 units, none of which has a whole window"):
        infer(windowed, np.zeros(2), exact.tau, exact.sigma)
    assert infer(windowed, np.zeros(3), exact.tau, exact.sigma).model.size == 3


def test_one_new_group_alone_and_rows_of_no_group(key):
    def model(y, group, groups):
        with numpyro.plate("groups", groups):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)

    generator = np.random.default_rng(0)
    group = generator.integers(0, 20, 120)
    y = (generator.normal(size=20)[group] + generator.normal(size=120)).astype(np.float32)
    fitted = fit(from_numpyro(model, y, group, 20), key=key, inference=SetNetwork(width=0))
    # As a column of whole floats, as files have it, the index is taken for what it is.
    mean, sd = infer(fitted, np.asarray([1.0, 2.0]), np.zeros(2), 1).moments()["z"]
    np.testing.assert_allclose(mean, [1.0], atol=5e-3)
    np.testing.assert_allclose(sd, [3.0**-0.5], rtol=5e-3)
    with pytest.raises(DataError, match="'group' run from 0 to 5, but 'groups' has units 0 to 1"):
        infer(fitted, np.ones(2), np.asarray([0, 5]), 2)
    with pytest.raises(DataError, match=r"'group' has dtype float.* values that int"):
        infer(fitted, np.ones(2), np.asarray([0.0, 0.5]), 2)


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float16, np.uint8, bool])
def test_numbers_of_any_dtype_are_read_as_those_of_the_fit(fitted, exact, dtype):
    new = np.asarray([0, 1, 1, 0]).astype(dtype)
    post = infer(fitted, new, exact.tau, exact.sigma)
    expected = exact.tau * (new.astype(float) - exact.theta[0]) / exact.v
    np.testing.assert_allclose(post.moments()["z"][0], expected, atol=1e-4)
    (array,) = post.model.data["arrays"]
    assert array.dtype == np.float32


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((3.0,), {}, r"'x' is a single value; expected shape \(rows,\)"),
        ((np.asarray(3.0),), {}, r"'x' is a single value; expected shape \(rows,\)"),
        ((np.ones((4, 2)),), {}, r"'x' has shape \(4, 2\); expected shape \(rows,\)"),
        ((np.ones((4, 1)),), {}, r"'x' has shape \(4, 1\); expected shape \(rows,\)"),
        ((np.ones(4), np.ones(4)), {}, r"'tau' has shape \(4,\), but was a single value"),
        ((), {"tau": 1.0}, r"no 'x', an array \(rows,\) when the model was fitted"),
        ((np.ones(4),), {"weight": np.ones(4)}, "'weight', an array that there was not"),
        ((np.ones(0),), {}, "'x' is empty"),
        ((np.asarray(["a", "b"]),), {}, "'x' has dtype <U1"),
        ((np.asarray([1e300, 0.0]),), {}, "beyond float32"),
    ],
)
def test_new_data_of_another_form_are_refused_in_one_line(fitted, exact, args, kwargs, words):
    plain = {} if len(args) > 1 else {"tau": exact.tau}
    with pytest.raises(DataError, match=words) as caught:
        infer(fitted, *args, **{**plain, "sigma": exact.sigma, **kwargs})
    assert "\n" not in str(caught.value)


def test_densities_by_hand_are_bound_again(key):
    def log_local(theta, z, row):
        return -0.5 * (z["z"] - theta["mu"]) ** 2 - 0.5 * jnp.sum((row - z["z"]) ** 2)

    x = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
    bound = from_density(
        lambda theta: -0.5 * theta["mu"] ** 2, log_local, x, globals_={"mu": ()}, locals_={"z": ()}
    )
    fitted = fit(bound, key=key, inference=Polynomial(1))
    new = np.asarray([[1.0, 2.0], [-4.0, 0.0], [0.0, 0.0]])
    post = infer(fitted, new)
    mu = float(fitted.moments()["mu"][0])
    mean, sd = post.moments()["z"]
    np.testing.assert_allclose(mean, (new.sum(axis=1) + mu) / 3.0, atol=2e-3)
    np.testing.assert_allclose(sd, 3.0**-0.5, rtol=2e-3)
    again = infer(post, new[:1]).moments()["z"][0]
    np.testing.assert_allclose(again, mean[:1], rtol=1e-5)
    for data, words in ((new[:, :1], r"shape \(3, 1\)"), (np.full((2, 2), np.nan), "nan first")):
        with pytest.raises(DataError, match=words):
            infer(fitted, data)


def test_what_cannot_be_inferred_is_refused_in_one_line(bound, fitted, exact):
    table = fit(bound, key=KEY, inference=Table())
    with pytest.raises(ArgumentError, match="no function for new data"):
        infer(table, exact.x.astype(np.float32), exact.tau, exact.sigma)
    with pytest.raises(DataError, match="nan"):
        infer(fitted, np.asarray([1.0, np.nan], np.float32), exact.tau, exact.sigma)


def test_other_columns_are_refused(key):
    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z[:, None], 1.0).to_event(1), obs=x)

    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    fitted = fit(from_numpyro(model, x), key=key, inference=MLP(width=4))
    with pytest.raises(DataError, match=r"shape \(30, 2\); expected shape \(rows, 3\)"):
        infer(fitted, x[:, :2])


def test_new_rows_that_read_each_other_are_refused(key):
    def model(x):
        # Many rows are centred, so that each reads all others; few are not.
        seen = x - jnp.mean(x) if x.shape[0] > 20 else x
        theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(theta, 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=seen)

    few = from_numpyro(model, jnp.arange(15.0))
    fitted = fit(few, key=key, inference=Constant())
    assert infer(fitted, jnp.arange(12.0)).model.size == 12
    with pytest.raises(SlicingError, match="another log density among 7 rows than among all 30"):
        infer(fitted, jnp.arange(30.0))
