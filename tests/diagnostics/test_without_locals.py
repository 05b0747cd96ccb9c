"""Diagnosis of fits whose latents are all globals, and of globals that locals make too narrow."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    Conditional,
    Finding,
    FullRank,
    Table,
    diagnose,
    fit,
    from_density,
    from_numpyro,
)

KEY = jax.random.key(5)
SDS = np.asarray([1.0, 2.0, 0.5])
CORRELATION = np.asarray([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
COVARIANCE = CORRELATION * np.outer(SDS, SDS)
PRECISION = np.linalg.inv(COVARIANCE)
LOG_EVIDENCE = 0.5 * np.linalg.slogdet(2 * np.pi * COVARIANCE)[1]


@pytest.fixture(scope="module")
def correlated():
    """N(0, COVARIANCE) without its normalizer, in two sites."""
    precision = jnp.asarray(PRECISION, jnp.float32)

    def log_prior(theta):
        u = jnp.concatenate([theta["a"], theta["b"][None]])
        return -0.5 * u @ precision @ u

    return from_density(
        log_prior,
        lambda theta, z, row: jnp.zeros(()),
        jnp.zeros(1),
        globals_={"a": (2,), "b": ()},
        locals_={},
    )


def test_a_full_rank_normal_of_a_gaussian_is_called_exact(correlated):
    found = diagnose(fit(correlated, key=KEY, globals_=FullRank()), key=KEY)
    assert found.finding is Finding.EXACT and found.next_steps == ()
    assert found.global_k == -np.inf
    assert abs(found.evidence.mean - LOG_EVIDENCE) < 1e-3
    assert abs(found.inference_gap.mean) < 1e-3
    np.testing.assert_allclose(found.spread.sds, SDS, rtol=0.01)
    assert not found.spread.understated and found.spread.notes == []
    assert found.gap.mean == 0.0 and found.unsettled == 0


@pytest.fixture(scope="module")
def mean_field(correlated):
    return diagnose(fit(correlated, key=KEY), key=KEY)


def test_mean_field_of_a_correlated_gaussian_is_too_narrow(mean_field):
    assert mean_field.finding is Finding.GLOBALS_TOO_NARROW
    assert not mean_field.trusted and mean_field.next_steps
    assert mean_field.spread.names == ("a[0]", "a[1]", "b")
    np.testing.assert_allclose(mean_field.spread.sds, np.diag(PRECISION) ** -0.5, rtol=0.01)
    np.testing.assert_allclose(mean_field.spread.responding, SDS, rtol=0.01)
    # sqrt(1 / (1 - 0.9^2)) = 2.29 for both that are correlated.
    wide = (1 - 0.81) ** -0.5
    np.testing.assert_allclose(mean_field.spread.ratios[:2], wide, rtol=0.1)


def test_the_note_names_the_coordinates_and_both_sds(mean_field):
    (line,) = [line for line in str(mean_field).splitlines() if "understates" in line]
    assert "a[0] (sd 0.436, by " in line and "a[1] (sd 0.872, by " in line
    assert "b (" not in line
    assert "note" in line.split()[0]
    plain = mean_field.to_dict()["spread"]
    assert plain["names"] == ["a[0]", "a[1]", "b"]
    np.testing.assert_allclose(plain["responding"], SDS, rtol=0.01)


def test_the_gap_of_mean_field_is_that_of_the_closed_form(mean_field):
    gap = -0.5 * np.log(1 - 0.81)
    # Four standard errors: false-failure rate 6.4e-5.
    found = LOG_EVIDENCE - mean_field.elbo.mean
    assert abs(found - gap) < 4 * mean_field.elbo.se + 1e-3


def counties(y, floor, uranium, county, groups):
    """Radon-like: an intercept for each group, explained by a covariate of the group."""
    b = numpyro.sample("b", dist.Normal(jnp.zeros(3), 5.0).to_event(1))
    with numpyro.plate("counties", groups):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
    with numpyro.plate("rows", y.shape[0]):
        mean = b[0] + b[1] * floor + b[2] * uranium[county] + z[county]
        numpyro.sample("y", dist.Normal(mean, 0.7), obs=y)


class Counties:
    """Data, and the exact sds of b."""

    def __init__(self):
        generator = np.random.default_rng(0)
        self.county = np.repeat(np.arange(25), generator.integers(2, 12, 25))
        uranium = generator.normal(size=25)
        floor = (generator.random(len(self.county)) < 0.3) * 1.0
        z = generator.normal(size=25)
        mean = 1.3 - 0.7 * floor + 0.7 * uranium[self.county] + z[self.county]
        y = mean + 0.7 * generator.normal(size=len(floor))
        self.args = [v.astype(np.float32) for v in (y, floor, uranium)]
        self.args += [self.county, 25]
        design = np.column_stack([np.ones_like(floor), floor, uranium[self.county]])
        every = np.column_stack([design, np.eye(25)[self.county]])
        prior = np.concatenate([np.full(3, 5.0**-2), np.ones(25)])
        precision = np.diag(prior) + every.T @ every / 0.49
        self.sds = np.sqrt(np.diag(np.linalg.inv(precision)))[:3]
        self.own = np.diag(precision)[:3] ** -0.5


@pytest.fixture(scope="module")
def radon():
    data = Counties()
    return data, from_numpyro(counties, *data.args)


def test_coefficients_that_vary_between_groups_are_understated_and_it_says_so(radon):
    data, model = radon
    found = diagnose(fit(model, key=KEY, inference=Table()), key=KEY)
    assert found.finding is Finding.GLOBALS_TOO_NARROW
    assert data.sds[2] > 3 * data.own[2]
    np.testing.assert_allclose(found.spread.responding, data.sds, rtol=0.03)
    assert found.spread.understated
    assert any("b[2] (sd " in note for note in found.spread.notes)
    assert any("Conditional" in step for step in found.next_steps)


@pytest.mark.slow
def test_factors_that_tie_them_are_not_blamed(radon):
    data, model = radon
    fitted = fit(model, key=KEY, inference=Table(), globals_=FullRank(), locals_=Conditional())
    found = diagnose(fitted, key=KEY)
    np.testing.assert_allclose(found.spread.sds, data.sds, rtol=0.05)
    assert not found.spread.understated and found.spread.notes == []
    assert found.finding in (Finding.FINE, Finding.EXACT)
