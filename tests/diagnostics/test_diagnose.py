"""The gap against closed forms, and the answer that follows from it."""

import importlib
import json

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
    Finding,
    Point,
    Polynomial,
    SetNetwork,
    Table,
    diagnose,
    fit,
    from_numpyro,
    refine,
)
from tests.exact_models import linear

KEY = jax.random.key(11)
module = importlib.import_module("amortis.fitting.row_optima")


@pytest.fixture(scope="module")
def exact():
    return linear.example(200)


@pytest.fixture(scope="module")
def bound(exact):
    return from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)


@pytest.fixture(scope="module")
def constant(bound):
    return diagnose(fit(bound, key=KEY, inference=Constant()), key=KEY)


def test_the_gap_of_a_constant_is_that_of_the_closed_form(constant, exact):
    assert abs(constant.gap.mean - exact.constant_shortfall) < 1e-3
    assert constant.finding is Finding.FUNCTION_TOO_SMALL
    assert constant.unsettled == 0
    assert any("amortis.refine" in step for step in constant.next_steps)


def test_the_gap_of_each_row_is_its_own(constant, exact):
    """With q(theta) held, row n gains half its precision times its mean squared."""
    means, variance = exact.z
    expected = 0.5 * (means - means.mean()) ** 2 / variance
    np.testing.assert_allclose(constant.row_gaps, expected, atol=2e-3)
    worst = int(np.argmax(expected))
    assert constant.worst[0].index == worst
    assert constant.worst[0].inputs == {"x": pytest.approx(exact.x[worst], rel=1e-5)}


def test_the_evidence_is_that_of_the_closed_form(constant, exact):
    assert constant.evidence is not None
    assert abs(constant.evidence.mean - exact.log_evidence) < 4 * constant.evidence.se + 0.01
    assert abs(constant.inference_gap.mean - (exact.gap + exact.constant_shortfall)) < (
        4 * constant.inference_gap.se + 0.01
    )


def test_a_function_that_is_ideal_has_no_gap_and_is_fine(bound):
    found = diagnose(fit(bound, key=KEY, inference=Polynomial(1)), key=KEY)
    assert abs(found.gap_per_datum.mean) < 1e-5
    assert found.finding is Finding.FINE and found.next_steps == ()
    assert found.untrusted == 0


def test_blocks_of_rows_give_what_all_rows_give(bound, monkeypatch):
    fitted = fit(bound, key=KEY, inference=Constant())
    whole = diagnose(fitted, key=KEY)
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", 1000 * 60)  # 60 of 200 rows: the last overlaps
    parts = diagnose(fitted, key=KEY)
    assert abs(parts.gap.mean - whole.gap.mean) < 1e-3
    np.testing.assert_allclose(parts.row_gaps, whole.row_gaps, atol=2e-3)
    assert abs(parts.evidence.mean - whole.evidence.mean) < 0.01


def test_a_network_that_reads_too_little_is_found_out(key):
    """x_n = (u_n, v_n) and z_n's mean is linear in both, but the function sees u_n only."""

    def model(u, v):
        with numpyro.plate("rows", u.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("u", dist.Normal(z, 1.0), obs=u)
            numpyro.sample("v", dist.Normal(z, 1.0), obs=v)

    generator = np.random.default_rng(0)
    z = generator.normal(size=300)
    u, v = (z + generator.normal(size=(2, 300))).astype(np.float32)
    whole = from_numpyro(model, u, v)
    narrow = jax.tree.map(lambda leaf: leaf, whole)
    object.__setattr__(narrow, "inputs", whole.inputs[:, :1])
    object.__setattr__(narrow, "input_names", ("u",))
    fitted = fit(narrow, key=key, inference=Polynomial(1))
    found = diagnose(fitted, key=key)
    mean, _ = fitted.moments()["z"]
    expected = 0.5 * 3.0 * np.sum((np.asarray(mean) - (u + v) / 3.0) ** 2)
    assert abs(found.gap.mean - expected) < 0.01
    assert found.finding is Finding.FUNCTION_TOO_SMALL


def test_exact_factors_are_called_exact(key):
    """Without globals the conjugate factor is the posterior, and all its weights are equal."""

    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    x = np.linspace(-2.0, 2.0, 30).astype(np.float32)
    found = diagnose(fit(from_numpyro(model, x), key=key, inference=Polynomial(1)), key=key)
    assert found.finding is Finding.EXACT
    assert found.evidence.se < 1e-4
    exact = np.sum(-0.25 * x**2 - 0.5 * np.log(4 * np.pi))
    assert abs(found.evidence.mean - exact) < 1e-3


@pytest.mark.slow
def test_groups_and_several_latents_are_measured_as_well(key):
    def model(t, y, group, groups):
        with numpyro.plate("groups", groups):
            b = numpyro.sample("b", dist.Normal(jnp.zeros(3), 1.0).to_event(1))
        with numpyro.plate("rows", y.shape[0]):
            rate = b[group, 0] + b[group, 1] * t + b[group, 2] * t**2
            numpyro.sample("y", dist.Normal(rate, 0.5), obs=y)

    generator = np.random.default_rng(3)
    group, t = generator.integers(0, 12, 90), generator.normal(size=90).astype(np.float32)
    b = generator.normal(size=(12, 3))
    noise = 0.5 * generator.normal(size=90)
    y = (b[group, 0] + b[group, 1] * t + b[group, 2] * t**2 + noise).astype(np.float32)
    fitted = fit(from_numpyro(model, t, y, group, 12), key=key, inference=Constant())
    found = diagnose(fitted, key=key)
    expected = 0.0
    mean, sd = (np.asarray(v) for v in fitted.moments()["b"])
    for j in range(12):
        design = np.stack([t[group == j] ** k for k in range(3)], axis=1)
        precision = np.eye(3) + design.T @ design / 0.25
        shift = mean[j] - np.linalg.solve(precision, design.T @ y[group == j] / 0.25)
        variances = sd[j] ** 2 * np.diag(precision)
        expected += 0.5 * (shift @ precision @ shift + np.sum(variances - 1 - np.log(variances)))
    assert abs(found.gap.mean - expected) < 4 * found.gap.se + 1e-3 * expected
    assert found.evidence is None or found.evidence.mean > found.elbo.mean


def test_refining_closes_the_gap(bound, exact, key):
    fitted = fit(bound, key=key, inference=Constant())
    refined = refine(fitted, key=key)
    assert isinstance(refined.guide.inference, Table)
    mean, sd = refined.moments()["z"]
    theta = refined.moments()["theta"]
    assert abs(exact.elbo_of(theta, (np.asarray(mean), np.asarray(sd))) - exact.elbo) < 0.01
    assert diagnose(refined, key=key).gap_per_datum.mean < 1e-5


def test_refining_what_is_ideal_does_not_make_it_worse(bound, key):
    fitted = fit(bound, key=key, inference=MLP())
    before, after = (f.elbo(key=key, draws=256).mean for f in (fitted, refine(fitted, key=key)))
    assert after >= before - 1e-2


def test_point_estimates_have_no_k_hat_of_their_own(bound, key):
    found = diagnose(fit(bound, key=key, globals_=Point(), inference=Polynomial(1)), key=key)
    assert np.isnan(found.global_k) and found.evidence is None


def test_it_reads_as_an_answer_and_as_json(constant):
    lines = str(constant).splitlines()
    assert lines[0].startswith("FUNCTION_TOO_SMALL: ")
    assert any(line.startswith("  gap ") and "per datum" in line for line in lines)
    plain = json.loads(json.dumps(constant.to_dict(), allow_nan=False))
    assert plain["finding"] == "FUNCTION_TOO_SMALL" and len(plain["row_gaps"]) == 200


def test_what_cannot_be_diagnosed_is_refused_in_one_line(bound, key):
    fitted = fit(bound, key=key, inference=Constant())
    for arguments, message in (
        ({"draws": 4}, "draws is 4; expected at least 8"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
    ):
        with pytest.raises(ArgumentError, match=message) as caught:
            diagnose(fitted, key=key, **arguments)
        assert "\n" not in str(caught.value)


def test_groups_that_are_conjugate_are_closed(key):
    def model(y, group, groups):
        with numpyro.plate("groups", groups):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)

    generator = np.random.default_rng(0)
    group = generator.integers(0, 12, 80)
    y = (generator.normal(size=12)[group] + generator.normal(size=80)).astype(np.float32)
    fitted = fit(from_numpyro(model, y, group, 12), key=key)
    assert isinstance(fitted.guide.inference, SetNetwork)
    assert diagnose(fitted, key=key).gap_per_datum.mean < 1e-4
