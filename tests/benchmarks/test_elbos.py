"""The race's evaluator against closed forms and against draws."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from racing import elbos, layers
from racing.elbos import Gaussian, elbo
from racing.tasks import TASKS
from scipy.stats import norm

from amortis.experiments import linear, saw
from tests.benchmarks.small_tasks import narrow_network, small


def _q(latents: int) -> Gaussian:
    generator = np.random.default_rng(7)
    mean = 0.3 * generator.standard_normal(latents)
    return Gaussian(mean, np.exp(-1.5 + 0.3 * generator.standard_normal(latents)))


@pytest.mark.parametrize("name", [name for name in TASKS if name not in ("irt", "bnn")])
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


def test_the_networks_layers_agree_with_drawn_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 5 standard errors, the prior and the entropy in closed form on one side only."""
    monkeypatch.setattr(elbos, "bnn_likelihood", partial(layers.bnn_likelihood, pairs=2000))
    task, data = narrow_network()
    q = _q(task.latents)
    q = dataclasses.replace(q, sd=2.0 * q.sd)  # so that leaks and products of noise matter
    value, error = elbo(task, data, q)
    drawn = dataclasses.replace(q, factor=np.diag(q.sd), log_det=float(np.log(q.sd).sum()))
    sampled, its_error = elbo(task, data, drawn)
    assert 0.0 < error < its_error
    assert abs(value - sampled) < 5 * np.hypot(error, its_error)


def test_a_network_without_noise_has_the_likelihood_of_its_means() -> None:
    task, data = small("bnn")
    m = task.split(_q(task.latents).mean)
    v = {name: np.zeros_like(site) for name, site in m.items()}
    hidden = m["z"]
    for layer in ("1", "2"):
        hidden = hidden @ m["w" + layer] + m["b" + layer]
        hidden = np.where(hidden > 0.0, hidden, 0.2 * hidden)
    images = hidden @ m["w3"] + m["b3"]
    expected = norm.logpdf(data["x"], images, 0.5**0.5).sum()
    found = layers.bnn_likelihood(m, v, data["x"], pairs=2, precision=np.float64)
    assert found == pytest.approx((expected, 0.0), rel=1e-12, abs=1e-6)
    in_32_bit, _ = layers.bnn_likelihood(m, v, data["x"], pairs=2)
    assert in_32_bit == pytest.approx(expected, rel=1e-6)


def test_what_is_not_finite_is_never_best() -> None:
    task, data = small("linear")
    q = _q(task.latents)
    broken = dataclasses.replace(q, mean=np.full_like(q.mean, np.nan))
    assert elbo(task, data, broken)[0] == -np.inf
