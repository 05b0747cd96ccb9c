"""Models that are evaluated as a whole: one gap where units touch, one per unit where not."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    ArgumentError,
    Constant,
    Finding,
    Polynomial,
    Windowed,
    diagnose,
    fit,
    from_numpyro,
    refine,
)
from amortis.experiments import saw
from amortis.experiments.comparison import Setting
from amortis.model import by_unit
from amortis.model.checks import random_values


def walk(x):
    """A Gaussian random walk under noise: the posterior is Gaussian."""
    z = numpyro.sample("z", dist.GaussianRandomWalk(1.0, num_steps=x.shape[0]))
    numpyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)


X = np.cumsum(np.random.default_rng(0).normal(size=12)).astype(np.float32)


def posterior():
    """Precision and mean of z given X, and the log evidence."""
    size = len(X)
    steps = np.eye(size) - np.eye(size, k=-1)
    precision = steps.T @ steps + np.eye(size)
    mean = np.linalg.solve(precision, X.astype(np.float64))
    covariance = np.linalg.inv(steps.T @ steps) + np.eye(size)
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    return precision, mean, -0.5 * (X @ np.linalg.solve(covariance, X) + log_det)


def shortfall(fitted):
    """KL of a diagonal Gaussian to the posterior, in closed form."""
    precision, mean, _ = posterior()
    m, s = (np.asarray(v, np.float64) for v in fitted.moments()["z"])
    _, log_det = np.linalg.slogdet(precision)
    trace = np.sum(np.diag(precision) * s**2)
    shift = (m - mean) @ precision @ (m - mean)
    return 0.5 * (trace + shift - len(m) - log_det) - np.sum(np.log(s))


@pytest.fixture(scope="module")
def rough():
    bound = from_numpyro(walk, X)
    return fit(bound, key=jax.random.key(0), inference=Windowed(Polynomial(1), (0,)))


def test_the_gap_of_units_that_touch_is_that_of_the_closed_form(rough, key):
    found = diagnose(rough, key=key)
    precision = posterior()[0]
    least = 0.5 * np.sum(np.log(np.diag(precision))) - 0.5 * np.linalg.slogdet(precision)[1]
    expected = shortfall(rough) - least
    assert expected > 0.3
    assert abs(found.gap.mean - expected) < 4 * found.gap.se + 1e-3
    assert found.finding is Finding.FUNCTION_TOO_SMALL and not found.by_row
    assert np.isnan(found.row_gaps).all() and found.worst == ()
    assert len(found.next_steps) == 1 and "refine" in found.next_steps[0]
    assert "of all latents together" in str(found)


def test_once_refined_what_is_left_is_the_tie(rough, key):
    refined = refine(rough, key=key)
    found = diagnose(refined, key=key)
    assert abs(found.gap.mean) < 1e-3
    if found.evidence is not None:
        assert abs(found.evidence.mean - posterior()[2]) < 5 * found.evidence.se


def test_strong_ties_are_named(key):
    def stiff(x):
        z = numpyro.sample("z", dist.GaussianRandomWalk(0.05, num_steps=x.shape[0]))
        numpyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    found = diagnose(fit(from_numpyro(stiff, X[:8]), key=key), key=key)
    assert found.finding is Finding.UNITS_TIED
    assert found.global_k > 0.7 and found.evidence is None


@pytest.fixture(scope="module")
def saw_fits():
    x = saw.simulate(Setting.PAPER, 60, 0).astype(np.float32)
    bound = from_numpyro(saw.model, x)
    return x, bound, fit(bound, key=jax.random.key(0), inference=Constant())


def test_terms_along_lines_add_up_and_stand_alone(saw_fits):
    _, bound, fitted = saw_fits
    assert not bound.separable
    means, _ = fitted.local_moments()
    reference = fitted.guide.z.split(means)
    spread = {name: jnp.full_like(value, 0.5) for name, value in reference.items()}
    apart = by_unit(bound, reference, spread)
    theta, z = random_values(bound, seed=3, scale=2.0)
    np.testing.assert_allclose(apart.log_joint(theta, z), bound.log_joint(theta, z), rtol=1e-5)
    terms = apart.log_terms(theta, z).local
    # log N(x_n | alpha(theta + z_n), 1) + log N(z_n | x_{n-1}, 1), but for what z_n does not enter.
    x = saw_fits[0].astype(np.float64)
    before, t = np.append(0.0, x[:-1]), float(theta["theta"])

    def exact(locals_):
        v = np.asarray(locals_["z"], np.float64)
        return -0.5 * (v - before) ** 2 - 0.5 * (x - saw.ALPHA * (t + v)) ** 2

    np.testing.assert_allclose(terms, exact(z) - exact(reference), rtol=1e-3, atol=1e-3)
    moved = {"z": z["z"].at[7].add(1.0)}
    changed = np.flatnonzero(np.asarray(apart.log_terms(theta, moved).local - terms))
    np.testing.assert_array_equal(changed, [7])


def test_a_window_that_slices_cannot_part_is_diagnosed_by_row(saw_fits, key):
    x, _, fitted = saw_fits
    exact = saw.exact(x.astype(np.float64), False)
    found = diagnose(fitted, key=key)
    m, s = float(fitted.global_moments()[0][0]), saw.ALPHA
    mean, sd = (np.asarray(v, np.float64) for v in fitted.moments()["z"])
    v = 1.0 + s**2
    own = (np.append(0.0, x[:-1]) + s * x - s**2 * m) / v
    variance = v * sd**2
    rows = 0.5 * (v * (mean - own) ** 2 + variance - 1.0 - np.log(variance))
    np.testing.assert_allclose(found.row_gaps, rows, atol=0.02, rtol=0.02)
    assert abs(found.gap.mean - rows.sum()) < 4 * found.gap.se + 1e-3
    assert abs(found.evidence.mean - exact.evidence) < 5 * found.evidence.se + 0.02


def test_behind_a_jump_there_are_no_lines(key):
    """The line integral misses a step in z, so that units are not parted by it."""

    def jumps(x):
        before = jnp.concatenate([jnp.zeros(1, x.dtype), x[:-1]])
        with numpyro.plate("steps", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(before, 1.0))
            shift = jnp.where(z > 0.3, 2.0, 0.0)
            numpyro.sample("x", dist.Normal(z + shift, 1.0), obs=x)

    x = np.random.default_rng(1).normal(size=20).astype(np.float32)
    bound = from_numpyro(jumps, x)
    assert not bound.separable
    assert by_unit(bound, {"z": jnp.zeros(20)}, {"z": jnp.ones(20)}) is None


def test_some_rows_of_what_is_whole_are_not_refined(rough, key):
    with pytest.raises(ArgumentError, match="cannot be evaluated apart; expected all of them"):
        refine(rough, key=key, rows=[1, 2])
