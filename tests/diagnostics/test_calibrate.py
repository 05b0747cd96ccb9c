"""Ranks are uniform where the function gives the law of z given x, and show what is wrong else."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    ArgumentError,
    Constant,
    Point,
    Polynomial,
    SetNetwork,
    Windowed,
    calibrate,
    fit,
    from_numpyro,
    infer,
)
from amortis.diagnostics.calibration import site_calibration
from tests.exact_models import linear

KEY = jax.random.key(5)
STRICT = 1 - 1e-4
"""A right factor leaves this band once in ten thousand."""


def known(x, tau, sigma):
    """The linear model with theta known."""
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("x", dist.Normal(1.5 + tau * z, sigma), obs=x)


@pytest.fixture(scope="module")
def exact():
    return linear.example(200)


@pytest.fixture(scope="module")
def bound(exact):
    return from_numpyro(known, exact.x.astype(np.float32), exact.tau, exact.sigma)


@pytest.fixture(scope="module")
def right(bound):
    return fit(bound, key=KEY, inference=Polynomial(1))


def moved(fitted, sds=0.0, log_sd=0.0):
    """The same fit with the means of its factors shifted, in sds, and their log sds."""
    locals_ = fitted.variational["locals"]
    sd = float(fitted.moments()["z"][1][0])
    locals_ = locals_.at[0].add(jnp.asarray([sds * sd, log_sd], locals_.dtype))
    return dataclasses.replace(fitted, variational={**fitted.variational, "locals": locals_})


def holds(found):
    return {
        name: site_calibration(site.ranks, found.draws, STRICT).inside
        for name, site in found.sites.items()
    }


def normal(size, seed=0):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def test_bands_hold_on_the_law_with_theta_known(right):
    """Of 20 calibrated fits more than 6 leave a 95 % band once in 30 000 runs of this test."""
    found = [calibrate(right, key=jax.random.key(seed)).sites["z"] for seed in range(20)]
    assert sum(not site.inside for site in found) <= 6
    assert sum(site.symmetry < 0.05 for site in found) <= 6
    # 4.5 standard errors of 20 000 simulations.
    for i, nominal in enumerate((0.5, 0.8, 0.9, 0.95)):
        shares = [site.coverage[i] for site in found]
        assert {share[0] for share in shares} == {nominal}
        error = np.mean([share[1] for share in shares]) - nominal
        assert abs(error) < 4.5 * math.sqrt(nominal * (1 - nominal) / 20_000)


@pytest.mark.parametrize(
    ("sds", "log_sd", "words"),
    [
        (0.0, math.log(0.5), "too narrow"),
        (0.0, math.log(2.0), "too wide"),
        (1.0, 0.0, "biased high"),
        (-1.0, 0.0, "biased low"),
    ],
)
def test_a_wrong_guide_leaves_the_band_and_is_called_so(right, sds, log_sd, words):
    found = calibrate(moved(right, sds, log_sd), key=KEY)
    site = found.sites["z"]
    assert not site.inside and not found.calibrated and site.finding == words
    assert (("too high" in site.bias), ("too low" in site.bias)) == (sds > 0, sds < 0)
    assert str(found).startswith("NOT CALIBRATED")


def test_coverage_of_a_wrong_width_is_that_of_the_closed_form(right):
    """Intervals of half the width; 4 standard errors of 20 000 simulations, 1e-4 together."""
    found = calibrate(moved(right, 0.0, math.log(0.5)), key=KEY, simulations=20_000, draws=399)
    for nominal, measured in found.sites["z"].coverage:
        half = dist.Normal(0.0, 1.0).icdf(0.5 + 0.5 * nominal) * 0.5
        expected = float(2.0 * dist.Normal(0.0, 1.0).cdf(half) - 1.0)
        # Quantiles among 399 draws are themselves off by a little, to second order.
        assert abs(measured - expected) < 4 * math.sqrt(0.25 / 20_000) + 2e-3


def test_one_factor_for_all_rows_fails_though_its_sd_is_right(bound):
    found = calibrate(fit(bound, key=KEY, inference=Constant()), key=KEY)
    assert not found.calibrated and "too narrow" in found.sites["z"].finding


@pytest.mark.parametrize("globals_", [None, Point()])
def test_globals_that_many_data_settle(exact, globals_):
    bound = from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)
    fitted = fit(bound, key=KEY, inference=Polynomial(1), globals_=globals_)
    assert holds(calibrate(fitted, key=KEY)) == {"z": True}


def test_globals_are_fresh_for_each_simulation(exact):
    """Simulated x of q(theta) with a large sd are spread by it, so that ranks pile up at the ends.

    q(z | x) takes theta at its mean: with sd s of theta its error is N(0, s^2), which shows as
    ranks of a factor that is too narrow, and of no bias, for one theta would give bias alone.
    """
    bound = from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)
    fitted = fit(bound, key=KEY, inference=Polynomial(1))
    wide = fitted.variational["globals"].at[1].set(math.log(10.0))
    spread = dataclasses.replace(fitted, variational={**fitted.variational, "globals": wide})
    site = calibrate(spread, key=KEY).sites["z"]
    assert site.finding == "too narrow" and site.symmetry > 1e-4


def test_two_sites_one_of_them_positive_with_names_for_each_dimension():
    def model(x, y):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
            scale = numpyro.sample("scale", dist.LogNormal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z, jnp.asarray([1.0, 2.0])).to_event(1), obs=x)
            numpyro.sample("y", dist.Normal(jnp.log(scale), 0.5), obs=y)

    bound = from_numpyro(model, normal((300, 2)), normal(300, 1))
    found = calibrate(fit(bound, key=KEY, inference=Polynomial(1)), key=KEY)
    assert holds(found) == {"z[0]": True, "z[1]": True, "scale": True}
    wrong = calibrate(fit(bound, key=KEY, inference=Constant()), key=KEY)
    assert holds(wrong)["z[0]"] is holds(wrong)["scale"] is False


def test_groups_keep_their_sizes():
    def model(y, group, groups):
        with numpyro.plate("groups", groups):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)

    group = np.repeat(np.arange(20), np.arange(20) % 7)
    y = normal(len(group))
    fitted = fit(from_numpyro(model, y, group, 20), key=KEY, inference=SetNetwork(width=0))
    assert holds(calibrate(fitted, key=KEY)) == {"z": True}
    row = fitted.variational["locals"]["row"]
    halved = {**row, "bias": row["bias"].at[1].add(2.0)}  # of log precisions
    locals_ = {**fitted.variational["locals"], "row": halved}
    wrong = dataclasses.replace(fitted, variational={**fitted.variational, "locals": locals_})
    assert calibrate(wrong, key=KEY).sites["z"].finding == "too narrow"


def test_a_series_is_simulated_whole():
    """x[n+1] = x[n] / 2 + z[n] + noise: z[n] reads two rows, and the user draws the series."""

    def model(x):
        with numpyro.plate("steps", x.shape[0] - 1):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("next", dist.Normal(0.5 * x[:-1] + z, 0.5), obs=x[1:])

    x = normal(60)

    def simulate(key, values):
        noise = 0.5 * jax.random.normal(key, (59,))

        def step(before, parts):
            after = 0.5 * before + parts
            return after, after

        first = jnp.asarray(x[0])
        return {"x": jnp.append(first, jax.lax.scan(step, first, values["z"] + noise)[1])}

    fitted = fit(from_numpyro(model, x), key=KEY, inference=Windowed(Polynomial(1), (0, 1)))
    assert holds(calibrate(fitted, key=KEY, simulate=simulate)) == {"z": True}
    with pytest.raises(ArgumentError, match=r"site 'next' observes no argument.*pass simulate="):
        calibrate(fitted, key=KEY)


def test_a_window_of_rows_that_stand_alone(bound):
    fitted = fit(bound, key=KEY, inference=Windowed(Polynomial(1), (-1, 0, 1)))
    assert holds(calibrate(fitted, key=KEY)) == {"z": True}


def test_categories_are_put_back_in_their_columns():
    """x = z + effect[kind] + noise, linear in x and in the indicators of kind."""

    def model(x, kind):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z + jnp.asarray([0.0, 4.0])[kind], 1.0), obs=x)

    kind = np.random.default_rng(0).integers(0, 2, 200)
    bound = from_numpyro(model, normal(200) + 4 * kind.astype(np.float32), kind)
    assert bound.input_names == ("x", "kind=0", "kind=1")
    fitted = fit(bound, key=KEY, inference=Polynomial(1))
    assert holds(calibrate(fitted, key=KEY)) == {"z": True}


def test_a_plate_that_subsamples_by_its_index():
    x = normal(80)

    def model(x):
        with numpyro.plate("rows", 80) as rows:
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x[rows])

    fitted = fit(from_numpyro(model, x), key=KEY, inference=Polynomial(1))
    assert holds(calibrate(fitted, key=KEY)) == {"z": True}


def test_new_arguments_for_a_transformed_observation():
    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("half", dist.Normal(z, 1.0), obs=0.5 * x)

    fitted = fit(from_numpyro(model, 2.0 * normal(100)), key=KEY, inference=Polynomial(1))
    with pytest.raises(ArgumentError, match=r"'half' observes no argument.*pass simulate="):
        calibrate(fitted, key=KEY)
    found = calibrate(fitted, key=KEY, simulate=lambda key, values: {"x": 2.0 * values["half"]})
    assert holds(found) == {"z": True}
    wrong = calibrate(fitted, key=KEY, simulate=lambda key, values: {"x": -values["half"]})
    assert holds(wrong) == {"z": False}
    with pytest.raises(ArgumentError, match=r"returned an argument 'y'; expected some of .* x"):
        calibrate(fitted, key=KEY, simulate=lambda key, values: {"y": values["half"]})
    with pytest.raises(ArgumentError, match=r"'x' of shape \(3,\); expected \(1,\)"):
        calibrate(fitted, key=KEY, simulate=lambda key, values: {"x": jnp.zeros(3)})


def test_a_fit_that_was_bound_to_other_data(right, exact):
    post = infer(right, np.linspace(-9.0, 9.0, 37).astype(np.float32), exact.tau, exact.sigma)
    assert holds(calibrate(post, key=KEY)) == {"z": True}


def test_the_record_is_plain_and_the_same_for_the_same_key(right):
    one, other = (calibrate(right, key=KEY) for _ in range(2))
    np.testing.assert_array_equal(one.sites["z"].ranks, other.sites["z"].ranks)
    site = one.sites["z"]
    assert site.ranks.shape == (1000,) and site.ranks.min() >= 0 and site.ranks.max() <= 199
    np.testing.assert_allclose(
        site.difference, [(site.ranks < 200 * p - 0.5).mean() - p for p in site.points], atol=1e-12
    )
    assert (site.lower < 0).all() and (site.upper > 0).all()
    assert json.loads(json.dumps(one.to_dict()))["sites"]["z"]["ranks"] == site.ranks.tolist()
    assert "1000 units simulated, 199 draws each" in str(one)


@pytest.mark.parametrize("draws", [19, 99, 100, 199])
def test_coverage_of_uniform_ranks_is_nominal_for_any_number_of_draws(draws):
    site = site_calibration(np.arange(draws + 1), draws)
    for nominal, measured in site.coverage:
        assert measured == pytest.approx(nominal, abs=1e-12)
    np.testing.assert_allclose(site.difference, 0.0, atol=1e-12)
