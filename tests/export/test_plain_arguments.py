"""Plain arguments of a model in archives: kept, and asked for again where they were no default."""

import math

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import DataError, Polynomial, from_numpyro, infer, load, save
from tests.export.fits import unoptimised


def test_plain_arguments_are_kept_and_asked_for_again(tmp_path) -> None:
    def model(x, power: float = 1.0, kind: str = "wide", rows: int = 5) -> None:
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            sd = 2.0 if kind == "wide" else 0.5
            numpyro.sample("x", dist.Normal(power * z, sd), obs=x)

    path, x = tmp_path / "fit.amortis", np.linspace(-1.0, 1.0, 8, dtype=np.float32)
    given = {"power": 1.0, "kind": "narrow", "rows": 7}
    save(unoptimised(from_numpyro(model, x, **given), Polynomial(1)), path)
    trained = load(path, model)
    assert trained.rebind.form.plain == given
    assert infer(trained, x, kind="narrow", rows=7).moments()["z"][0].shape == (8,)
    with pytest.raises(DataError, match=r"no 'kind', which was 'narrow' when .*pass kind='narrow'"):
        infer(trained, x, rows=7)  # power is the model's default and may be left out


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_numbers_that_json_does_not_know_are_kept(odd, tmp_path) -> None:
    def model(x, limit: float = 0.0) -> None:
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0 if limit > 1.0 else 2.0), obs=x)

    path, x = tmp_path / "fit.amortis", np.linspace(-1.0, 1.0, 8, dtype=np.float32)
    save(unoptimised(from_numpyro(model, x, limit=float(odd)), Polynomial(1)), path)
    trained = load(path, model)
    np.testing.assert_equal(trained.rebind.form.plain, {"limit": float(odd)})
    assert infer(trained, x, limit=float(odd)).moments()["z"][0].shape == (8,)
    with pytest.raises(DataError, match=r"no 'limit', which was "):
        infer(trained, x)
    with pytest.raises(DataError, match=r"limit is 2, but was "):
        infer(trained, x, limit=2.0)


def test_what_equals_a_default_may_be_left_out_whatever_its_type() -> None:
    def model(x, low=np.float32(2.0), nothing=math.nan, parts={"sd": 1.0}) -> None:  # noqa: B006, B008
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.sample("x", dist.Normal(z, low * parts["sd"]), obs=x)

    x = np.linspace(-1.0, 1.0, 8, dtype=np.float32)
    given = {"low": 2.0, "nothing": math.nan, "parts": {"sd": 1.0}}
    fitted = unoptimised(from_numpyro(model, x, **given), Polynomial(1))
    assert infer(fitted, x[:5]).moments()["z"][0].shape == (5,)


def test_what_options_gather_is_asked_for_again() -> None:
    def model(x, **options) -> None:
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.sample("x", dist.Normal(z, options.get("sd", 1.0)), obs=x)

    x = np.linspace(-1.0, 1.0, 8, dtype=np.float32)
    fitted = unoptimised(from_numpyro(model, x, sd=2.0), Polynomial(1))
    with pytest.raises(DataError, match=r"no 'sd', which was 2\.0 when .*pass sd=2\.0 as well"):
        infer(fitted, x[:5])
