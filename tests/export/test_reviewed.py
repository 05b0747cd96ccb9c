"""Archives that reviewers could not load."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    ArgumentError,
    Constant,
    DataError,
    Fit,
    Polynomial,
    Table,
    Trained,
    fit,
    from_numpyro,
    infer,
    load,
    refine,
    save,
    update,
)

KEY = jax.random.key(3)


def grouped(y, group, groups):
    m = numpyro.sample("m", dist.Normal(0.0, 3.0))
    with numpyro.plate("groups", groups):
        z = numpyro.sample("z", dist.Normal(m, 1.0))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)


def simple(x, sd):
    theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z, sd), obs=x)


@pytest.mark.parametrize("how", ["constant", "table", "refined"])
def test_groups_come_back_with_functions_that_read_none_of_them(how, tmp_path):
    generator = np.random.default_rng(0)
    given = (generator.normal(size=40).astype(np.float32), np.repeat(np.arange(10), 4), 10)
    bound = from_numpyro(grouped, *given)
    fitted = fit(bound, key=KEY, inference=Table() if how == "table" else Constant())
    fitted = refine(fitted, key=KEY, rows=[1, 2]) if how == "refined" else fitted
    save(fitted, tmp_path / "fit.amortis")
    found = load(tmp_path / "fit.amortis", grouped, *given)
    assert isinstance(found, Fit)
    for old, now in zip(fitted.moments()["z"], found.moments()["z"], strict=True):
        np.testing.assert_array_equal(old, now)


def test_a_capacity_comes_back(tmp_path):
    x = np.linspace(-3.0, 3.0, 50).astype(np.float32)
    fitted = fit(from_numpyro(simple, x, 2.0), key=KEY, inference=Constant(), tolerance=1e-3)
    save(fitted, tmp_path / "fit.amortis")
    found = load(tmp_path / "fit.amortis", simple, x, 2.0)
    assert found.capacity == fitted.capacity and found.capacity.certified


def test_an_updated_fit_comes_back_to_infer_and_to_be_updated(tmp_path):
    x = (1.0 + np.random.default_rng(0).normal(size=90)).astype(np.float32)
    first = fit(from_numpyro(simple, x[:30], 2.0), key=KEY, inference=Polynomial(1))
    second = from_numpyro(simple, x[30:60], 2.0)
    fitted = update(first, second, key=KEY)
    path = tmp_path / "fit.amortis"
    save(fitted, path)
    found = load(path, simple)
    assert isinstance(found, Trained)
    pairs = zip(
        infer(fitted, x[:5], 2.0).moments()["z"],
        infer(found, x[:5], 2.0).moments()["z"],
        strict=True,
    )
    for old, now in pairs:
        np.testing.assert_array_equal(old, now)
    third = from_numpyro(simple, x[60:], 2.0)
    for old, now in zip(
        update(fitted, third, key=KEY).global_moments(),
        update(found, third, key=KEY).global_moments(),
        strict=True,
    ):
        np.testing.assert_allclose(old, now, rtol=1e-5)
    for given in ((simple, x[30:60], 2.0), (second,)):
        with pytest.raises(ArgumentError, match="was made by update, with q of an earlier fit"):
            load(path, *given)


def test_a_loaded_function_refuses_another_number_too(tmp_path):
    x = np.linspace(-3.0, 3.0, 50).astype(np.float32)
    save(fit(from_numpyro(simple, x, 2.0), key=KEY, inference=Polynomial(1)), tmp_path / "f")
    found = load(tmp_path / "f", simple)
    with pytest.raises(DataError, match="sd is 1, but was 2 when the model was fitted"):
        infer(found, x, sd=1.0)
