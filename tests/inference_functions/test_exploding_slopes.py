"""Slopes that explode are cut, counted, and said; the gap is known for any number of steps."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    AdamSteps,
    ArgumentError,
    Estimate,
    Finding,
    GradientAscent,
    LBFGSSteps,
    MomentumSteps,
    Point,
    Polynomial,
    cut_slopes,
    diagnose,
    fit,
    from_numpyro,
    infer,
    with_steps,
)
from amortis.cli.summary import describe_fit
from amortis.fitting.cut_slopes import CutSlopes
from amortis.guide import Guide
from amortis.objectives import with_row_elbos

KEY = jax.random.key(4)
ROWS = 12


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def steep(x, scale):
    """Rows whose scale is small have slopes of 1e8 nats where factors start."""
    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(mean, 1.0))
        numpyro.sample("x", dist.Normal(z, scale), obs=x)


SCALE = np.where(np.arange(ROWS) < 3, 1e-4, 1.0)
X = np.linspace(0.5, 2.0, ROWS)


@pytest.fixture(scope="module")
def plain():
    return fit(from_numpyro(steep, X, SCALE), key=KEY, inference=Polynomial(1), globals_=Point())


def climbing(plain, inference):
    """A fit whose rows climb, with the globals of another."""
    made = Guide.for_model(plain.model, inference, Point(), plain.guide.local_family)
    guide = with_row_elbos(made, plain.model).starting_at(-1.0)
    variational = {"globals": plain.variational["globals"], "locals": guide.init(KEY)["locals"]}
    return dataclasses.replace(plain, guide=guide, variational=variational)


def test_rows_are_counted_step_by_step(plain):
    """Of N(x; z, s) the slope in the mean of q(z) is (x - m) / s^2 less that of the prior."""
    fitted = climbing(plain, GradientAscent(MomentumSteps(1e-3), 4))
    found = cut_slopes(fitted)
    iterates = np.asarray(fitted.guide.iterates(fitted.variational, None))
    start = np.broadcast_to(fitted.guide.offset, iterates[0].shape)
    prior = float(fitted.variational["globals"][0])
    expected = []
    for mean, log_sd in (raw.T for raw in [start, *iterates[:-1]]):
        of_mean = (X - mean) / SCALE**2 - (mean - prior)
        of_log_sd = 1.0 - np.exp(2 * log_sd) * (1.0 + 1.0 / SCALE**2)
        expected.append(np.maximum(np.abs(of_mean), np.abs(of_log_sd)) > 1e6)
    assert expected[0].sum() == 3  # those with a small scale
    np.testing.assert_array_equal(found.rows, np.sum(expected, axis=1))
    assert found.any_step == np.any(expected, axis=0).sum() and found.size == ROWS
    assert str(CutSlopes.of(np.zeros((2, 5), bool))) == "no slope of 5 rows was cut in 2 steps"


def test_diagnose_says_which_and_what_to_do(plain):
    fitted = climbing(plain, GradientAscent(AdamSteps(0.05), 3))
    found = diagnose(fitted, key=KEY)
    assert found.finding is Finding.SLOPES_CUT and not found.trusted
    assert f"slopes of 3 of {ROWS} rows exploded and were cut, in 3 steps, 1 to 3" in str(found)
    assert "amortis.LBFGSSteps()" in found.next_steps[0]
    plain_values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain_values["steps"]["cut_rows"] == [3, 3, 3]
    # The gap at the fit's own number of steps is the gap, and each is that of the fit that takes
    # so many.
    steps = found.steps
    assert steps.counts == (1, 2, 3, 6) and steps.own == 3
    np.testing.assert_allclose(steps.gaps[2].mean, found.gap_per_datum.mean, rtol=1e-6)
    for count, gap in zip(steps.counts, steps.gaps, strict=True):
        mean, log_sd = with_steps(fitted, count).guide.fitted_raw(fitted.variational, None).T
        expected = _losses(mean, log_sd, float(fitted.variational["globals"][0]))
        np.testing.assert_allclose(gap.mean, expected.mean(), atol=5 * gap.se + 1e-6)


def test_the_summary_of_a_fit_says_it(plain):
    fitted = climbing(plain, GradientAscent(MomentumSteps(1e-3), 2))
    text = describe_fit(fitted, Estimate(-1.0, 0.1), fitted.moments(), 1.0)
    assert "slopes    slopes of 3 of 12 rows exploded and were cut" in text
    calm = climbing(plain, GradientAscent(LBFGSSteps(), 2))
    text = describe_fit(calm, Estimate(-1.0, 0.1), calm.moments(), 1.0)
    assert "slopes    no slope of 12 rows was cut in 2 steps" in text


def _losses(mean, log_sd, prior):
    """The divergence of N(m, s^2) from the row's posterior given the globals, which is normal."""
    precision = 1.0 + 1.0 / SCALE**2
    best = (prior + X / SCALE**2) / precision
    ratio = precision * np.exp(2 * np.asarray(log_sd))
    return 0.5 * (ratio - 1.0 - np.log(ratio) + precision * (np.asarray(mean) - best) ** 2)


def test_lbfgs_takes_slopes_as_they_are(plain):
    fitted = climbing(plain, GradientAscent(LBFGSSteps(), 40))
    assert cut_slopes(fitted).any_step == 0
    mean = fitted.guide.fitted_raw(fitted.variational, None)[:, 0]
    prior = float(fitted.variational["globals"][0])
    best = (prior + X / SCALE**2) / (1.0 + 1.0 / SCALE**2)
    np.testing.assert_allclose(mean, best, atol=1e-3)


def test_rows_without_a_number_stay_where_they_are():
    def broken(x):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(mean, 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)
            numpyro.factor("wall", jnp.where(x > 10.0, jnp.log(0.3 - z), 0.0))

    plain = fit(from_numpyro(broken, X), key=KEY, inference=Polynomial(1), globals_=Point())
    new = infer(plain, np.asarray([1.0, 11.0, 12.0]))
    for rule in (MomentumSteps(0.1), AdamSteps(0.1), LBFGSSteps()):
        climbed = climbing(new, GradientAscent(rule, 3))
        assert cut_slopes(climbed).rows.tolist() == [2, 2, 2]
        raw = climbed.guide.fitted_raw(climbed.variational, None)
        np.testing.assert_array_equal(raw[1:], np.broadcast_to(climbed.guide.offset, (2, 2)))
        assert (raw[0] != climbed.guide.offset).all()


def test_functions_without_steps_have_no_slopes(plain):
    with pytest.raises(ArgumentError, match=r"cut_slopes got .* which takes no") as caught:
        cut_slopes(plain)
    assert "\n" not in str(caught.value)
