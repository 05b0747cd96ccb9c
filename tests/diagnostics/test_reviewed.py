"""What reviewers found: each was wrong once."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

from amortis import (
    MLP,
    ArgumentError,
    Constant,
    DataError,
    Finding,
    FixedDraws,
    Point,
    Polynomial,
    SemiAmortized,
    Table,
    diagnose,
    fit,
    from_numpyro,
    infer,
    refine,
)

KEY = jax.random.key(3)
GRID = np.linspace(-30.0, 30.0, 40_001)


def log_normal(x, mean, sd):
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


def evidence(log_joint):
    """Sum over rows of the log of an integral over z, by a fine grid."""
    top = log_joint.max(axis=1, keepdims=True)
    return float(np.sum(top[:, 0] + np.log(np.trapezoid(np.exp(log_joint - top), GRID, axis=1))))


def test_the_evidence_of_heavy_tails_is_within_its_error():
    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 2.0))
            numpyro.sample("x", dist.StudentT(3.0, z, 0.5), obs=x)

    x = (2.0 * np.random.default_rng(0).normal(size=60)).astype(np.float32)
    found = diagnose(fit(from_numpyro(model, x), key=KEY, inference=MLP(8)), key=KEY)
    likelihood = stats.t.logpdf((x[:, None] - GRID) / 0.5, 3) + np.log(2.0)
    exact = evidence(log_normal(GRID, 0.0, 2.0) + likelihood)
    assert abs(found.evidence.mean - exact) < 4 * found.evidence.se + 5e-3


def lagged(x, after):
    """A window inside the model, and a likelihood that waves in z."""
    before = jnp.concatenate([jnp.zeros(1, x.dtype), x[:-1]])
    with numpyro.plate("steps", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 3.0))
        numpyro.sample("x", dist.Normal(0.5 * before + after(z), 1.0), obs=x)


@pytest.mark.slow
def test_waves_along_a_line_are_resolved_or_left_alone():
    """Six points on a line gave an evidence 700 nats too high."""
    wave = lambda z: jnp.sin(2 * z) + 0.3 * z  # noqa: E731
    x = np.random.default_rng(2).normal(size=40).astype(np.float32)
    bound = from_numpyro(lambda x: lagged(x, wave), x)
    assert not bound.separable
    found = diagnose(fit(bound, key=KEY, inference=Table()), key=KEY)
    mean = 0.5 * np.append(0.0, x[:-1])[:, None] + np.sin(2 * GRID) + 0.3 * GRID
    exact = evidence(log_normal(GRID, 0.0, 3.0) + log_normal(x[:, None], mean, 1.0))
    assert found.evidence is None or abs(found.evidence.mean - exact) < 4 * found.evidence.se + 0.5


def test_a_step_along_a_line_is_not_smoothed_over():
    steep = lambda z: 2.0 * jnp.tanh(40.0 * (z - 1.0))  # noqa: E731
    x = np.random.default_rng(2).normal(size=40).astype(np.float32)
    found = diagnose(fit(from_numpyro(lambda x: lagged(x, steep), x), key=KEY), key=KEY)
    mean = 0.5 * np.append(0.0, x[:-1])[:, None] + 2.0 * np.tanh(40.0 * (GRID - 1.0))
    exact = evidence(log_normal(GRID, 0.0, 3.0) + log_normal(x[:, None], mean, 1.0))
    assert found.evidence is None or abs(found.evidence.mean - exact) < 4 * found.evidence.se + 0.5


def test_what_was_not_measured_is_not_called_fine():
    def walk(x):
        drift = numpyro.sample("drift", dist.Normal(0.0, 1.0))
        z = numpyro.sample("z", dist.GaussianRandomWalk(0.1, num_steps=x.shape[0]))
        numpyro.sample("x", dist.Normal(z + drift, 1.0).to_event(1), obs=x)

    x = np.random.default_rng(0).normal(size=10).astype(np.float32)
    found = diagnose(fit(from_numpyro(walk, x), key=KEY, globals_=Point()), key=KEY)
    assert found.finding is Finding.NOT_MEASURED


def simple(x):
    theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z, 2.0), obs=x)


X = (15.0 + np.random.default_rng(0).normal(size=60)).astype(np.float32)


def test_a_fit_that_did_not_end_well_is_not_called_fine():
    bound = from_numpyro(simple, X)
    stopped = FixedDraws(evaluations=1)
    fitted = fit(bound, key=KEY, inference=Table(), optimiser=stopped)
    found = diagnose(dataclasses.replace(fitted, variational=_best_rows(fitted)), key=KEY)
    assert found.finding is Finding.UNFINISHED
    assert f"the fit ended with {fitted.status.name}" in str(found)


def _best_rows(fitted):
    """Rows at their optimum given globals that are not at theirs."""
    return refine(fitted, key=KEY, rows=np.arange(60)).variational


def test_other_data_are_no_reference():
    fitted = fit(from_numpyro(simple, X), key=KEY, inference=Polynomial(1))
    other = fit(from_numpyro(simple, 0.3 * X), key=KEY, inference=Polynomial(1))
    with pytest.raises(ArgumentError, match="reference was fitted to other data of the same size"):
        diagnose(fitted, key=KEY, reference=other)


def test_new_data_say_nothing_of_the_globals():
    fitted = fit(from_numpyro(simple, X), key=KEY, inference=Polynomial(1))
    found = diagnose(infer(fitted, X[:20] + 3.0), key=KEY)
    assert np.isnan(found.global_k) and found.evidence is None
    assert found.finding is Finding.FINE


def grouped(y, group, groups):
    m = numpyro.sample("m", dist.Normal(0.0, 3.0))
    with numpyro.plate("groups", groups):
        z = numpyro.sample("z", dist.Normal(m, 1.0))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)


@pytest.mark.slow
def test_new_rows_of_groups_are_held_out_and_the_same_rows_are_not():
    generator = np.random.default_rng(0)
    group = np.repeat(np.arange(10), 4)
    y, new = generator.normal(size=(2, 40)).astype(np.float32)
    fitted = fit(from_numpyro(grouped, y, group, 10), key=KEY)
    assert diagnose(fitted, key=KEY, held_out=infer(fitted, new, group, 10)).held_out.size == 10
    with pytest.raises(DataError, match="10 of 10 held-out rows are among the fitted ones"):
        diagnose(fitted, key=KEY, held_out=infer(fitted, y, group, 10))


def test_the_function_is_not_excused_by_the_family():
    """Every k-hat above 0.7 is below with a factor of its own: the function is to blame."""

    def counts(c):
        with numpyro.plate("rows", c.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("c", dist.Poisson(jnp.exp(z)), obs=c)

    c = np.random.default_rng(0).poisson(1.5, size=200)
    c[:4] = 40  # beyond what the others have
    fitted = fit(from_numpyro(counts, c), key=KEY, inference=Constant())
    found = diagnose(fitted, key=KEY, tolerance=10.0)
    assert found.blamed_on_function == found.untrusted > 2
    assert found.finding is Finding.FUNCTION_TOO_SMALL


def test_starts_are_called_starts():
    bound = from_numpyro(simple, X)
    given = {"inference": Constant(), "globals_": Point(), "objective": SemiAmortized(8)}
    found = diagnose(fit(bound, key=KEY, **given), key=KEY)
    assert found.is_start and "refine before you use it" in str(found)
    assert all("grow" not in step for step in found.next_steps)
