"""The race's evaluator against closed forms and against draws."""

import dataclasses

import numpy as np
import pytest
from racing.elbos import Gaussian, elbo
from racing.tasks import TASKS

from amortis.experiments import linear, saw
from tests.benchmarks.small_tasks import small


def _q(latents: int) -> Gaussian:
    generator = np.random.default_rng(7)
    mean = 0.3 * generator.standard_normal(latents)
    return Gaussian(mean, np.exp(-1.5 + 0.3 * generator.standard_normal(latents)))


@pytest.mark.parametrize("name", [name for name in TASKS if name != "irt"])
def test_closed_forms_agree_with_draws(name: str) -> None:
    """Within 5 standard errors: false in fewer than one of 10^6 runs."""
    task, data = small(name)
    q = _q(task.latents)
    value, none = elbo(task, data, q)
    drawn = dataclasses.replace(q, factor=np.diag(q.sd), log_det=float(np.log(q.sd).sum()))
    sampled, error = elbo(task, data, drawn)
    assert none == 0.0
    assert abs(value - sampled) < 5 * error


def test_the_linear_optimum_has_its_known_elbo() -> None:
    x = linear.simulate(50, seed=0)
    best = linear.exact(x)
    task = dataclasses.replace(TASKS["linear"], units=50, local=(50,))
    mean = np.append(best.theta_mean, best.z_mean)
    sd = np.append(best.theta_sd, np.full(50, best.z_sd))
    assert elbo(task, {"x": x}, Gaussian(mean, sd))[0] == pytest.approx(best.elbo, abs=1e-9)


def test_the_saws_optimum_has_its_known_elbo_and_its_posterior_the_evidence() -> None:
    x = np.cumsum(np.random.default_rng(0).normal(size=40))
    best = saw.exact(x, False)
    task = dataclasses.replace(TASKS["saw"], units=40, local=(40,))
    mean = np.append(best.theta_mean, best.z_mean)
    sd = np.append(best.theta_sd, np.full(40, best.z_sd))
    assert elbo(task, {"x": x}, Gaussian(mean, sd))[0] == pytest.approx(best.elbo, abs=1e-9)
    # The exact posterior, a full covariance: every draw has the same weight.
    alpha, v = 0.75, 1 + 0.75**2
    precision = np.diag(np.append(40 * alpha**2 + 1, np.full(40, v)))
    precision[0, 1:] = precision[1:, 0] = alpha**2
    factor = np.linalg.inv(np.linalg.cholesky(precision)).T
    exact = Gaussian(mean, sd, factor, float(np.linalg.slogdet(factor)[1]))
    value, error = elbo(task, {"x": x}, exact)
    assert abs(value - best.evidence) < 5 * error


def test_what_is_not_finite_is_never_best() -> None:
    task, data = small("linear")
    q = _q(task.latents)
    broken = dataclasses.replace(q, mean=np.full_like(q.mean, np.nan))
    assert elbo(task, data, broken)[0] == -np.inf
