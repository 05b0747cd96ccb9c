import json

import jax
import numpy as np
import pytest
from numpyro.infer import MCMC, NUTS

from amortis import DataError, Polynomial, compare, fit, from_numpyro
from tests.exact_models import linear

KEY = jax.random.key(2)


@pytest.fixture(scope="module")
def exact():
    return linear.example(20, prior_sd=10.0)


@pytest.fixture(scope="module")
def fitted(exact):
    x = exact.x.astype(np.float32)
    bound = from_numpyro(linear.model, x, exact.tau, exact.sigma, exact.prior_sd)
    return fit(bound, key=KEY, inference=Polynomial(1))


def posterior(exact, draws, seed=0):
    """Independent draws of theta and z from the exact posterior."""
    mean, precision = exact.posterior
    root = np.linalg.cholesky(np.linalg.inv(precision))
    noise = np.random.default_rng(seed).normal(size=(draws, len(mean)))
    values = mean + noise @ root.T
    return {"theta": values[:, 0], "z": values[:, 1:]}


def test_means_agree_and_sds_are_those_of_mean_field(fitted, exact):
    """q has the posterior's means, and sds 1 / sqrt of the precision's diagonal."""
    found = compare(fitted, posterior(exact, 40_000))
    _, precision = exact.posterior
    sd = np.sqrt(np.diag(np.linalg.inv(precision)))
    ratio = np.diag(precision) ** -0.5 / sd
    # 21 means and sds on 40 000 draws: errors of 4 standard errors once in a thousand runs.
    assert abs(found.sites["theta"].mean_error) < 4 / 200
    assert np.abs(found.sites["z"].mean_error).max() < 4 / 200
    np.testing.assert_allclose(found.sites["theta"].sd_ratio, ratio[0], rtol=4 / 280 + 1e-3)
    np.testing.assert_allclose(found.sites["z"].sd_ratio, ratio[1:], rtol=4 / 280 + 1e-3)
    assert found.draws == 40_000


@pytest.mark.usefixtures("standard_promotion")
def test_nuts_is_taken_as_it_is(fitted, exact):
    mcmc = MCMC(NUTS(linear.model), num_warmup=300, num_samples=2000, progress_bar=False)
    x = exact.x.astype(np.float32)
    mcmc.run(KEY, x, exact.tau, exact.sigma, exact.prior_sd)
    found = compare(fitted, mcmc)
    assert set(found.sites) == {"theta", "z"}
    assert np.abs(found.sites["z"].mean_error).max() < 0.2


def test_it_prints_as_a_table_and_as_json(fitted, exact):
    found = compare(fitted, posterior(exact, 100))
    lines = str(found).splitlines()
    assert lines[0].startswith("site ") and lines[1].startswith("theta")
    assert "100 posterior draws" in lines[-1]
    assert len(json.loads(json.dumps(found.to_dict()))["sites"]["z"]["sd_ratio"]) == 20


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        ({"other": np.zeros(3)}, "expected some in common"),
        ({"theta": np.zeros((5, 2))}, r"draws of 'theta' have shape \(5, 2\)"),
        ({"theta": np.zeros(1)}, "at least two draws"),
        ({"theta": np.asarray([0.0, np.nan])}, "not all finite"),
    ],
)
def test_other_draws_are_refused_in_one_line(fitted, draws, message):
    with pytest.raises(DataError, match=message) as caught:
        compare(fitted, draws)
    assert "\n" not in str(caught.value)
