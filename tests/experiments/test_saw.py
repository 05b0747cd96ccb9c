import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import amortis
from amortis.experiments import saw
from amortis.experiments.comparison import Setting

SIZE = 12


def dense(x: np.ndarray, flat: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Precision, mean and log evidence of (theta, z), row by row, in no particular order."""
    alpha, size = saw.ALPHA, len(x)
    before = np.append(0.0, x[:-1])
    precision, linear = np.zeros((size + 1, size + 1)), np.zeros(size + 1)
    constant, terms = 0.0, []
    for n in range(size):
        own = np.zeros(size + 1)
        own[1 + n] = 1.0
        seen = alpha * own
        seen[0] = alpha
        terms += [(own, before[n]), (seen, x[n])]
    if not flat:
        terms.append((np.eye(size + 1)[0], 0.0))
    for direction, value in terms:
        precision += np.outer(direction, direction)
        linear += value * direction
        constant -= 0.5 * value**2 + 0.5 * math.log(2 * math.pi)
    mean = np.linalg.solve(precision, linear)
    volume = 0.5 * (size + 1) * math.log(2 * math.pi) - 0.5 * np.linalg.slogdet(precision)[1]
    return precision, mean, constant + 0.5 * linear @ mean + volume


@pytest.mark.parametrize("flat", [True, False])
def test_the_optimum_is_that_of_dense_gaussian_algebra(flat):
    x = saw.simulate(Setting.PAPER, SIZE, seed=3)
    best = saw.exact(x, flat)
    precision, mean, evidence = dense(x, flat)
    sds = np.diag(precision) ** -0.5
    gap = -0.5 * (np.linalg.slogdet(precision)[1] - np.log(np.diag(precision)).sum())
    np.testing.assert_allclose(best.z_mean, mean[1:], atol=1e-8)
    np.testing.assert_allclose([best.theta_mean, best.theta_sd], [mean[0], sds[0]], atol=1e-8)
    np.testing.assert_allclose(best.z_sd, sds[1:], atol=1e-8)
    np.testing.assert_allclose(best.evidence, evidence, atol=1e-8)
    np.testing.assert_allclose(best.evidence - best.elbo, gap, atol=1e-8)
    if flat:
        np.testing.assert_allclose(gap, 0.5 * math.log(1 + saw.ALPHA**2), atol=1e-8)


def test_the_evidence_is_that_of_the_marginal_law():
    x = saw.simulate(Setting.CODE, SIZE, seed=4)
    before, v = np.append(0.0, x[:-1]), 1 + saw.ALPHA**2
    covariance = v * np.eye(SIZE) + saw.ALPHA**2 * np.ones((SIZE, SIZE))
    law = stats.multivariate_normal(saw.ALPHA * before, covariance)
    np.testing.assert_allclose(saw.exact(x, flat=False).evidence, law.logpdf(x), atol=1e-8)


@pytest.mark.parametrize(
    ("features", "name"), [(0, "constant_elbo"), (1, "alone_elbo")], ids=["constant", "x_n alone"]
)
def test_poorer_functions_fall_short_by_the_projection(features, name):
    x = saw.simulate(Setting.PAPER, SIZE, seed=5)
    best, (precision, mean, _) = saw.exact(x, flat=False), dense(x, flat=False)
    # Means theta and B phi, by weighted least squares in the whole Gaussian.
    design = np.zeros((SIZE + 1, 2 + features))
    design[0, 0], design[1:, 1] = 1.0, 1.0
    if features:
        design[1:, 2] = x
    phi = np.linalg.solve(design.T @ precision @ design, design.T @ precision @ mean)
    off = design @ phi - mean
    np.testing.assert_allclose(
        getattr(best, name), best.elbo - 0.5 * off @ precision @ off, atol=1e-8
    )


def test_the_models_density_is_that_of_the_closed_form(x64, standard_promotion):
    x = saw.simulate(Setting.PAPER, SIZE, seed=6)
    for flat in (True, False):
        bound = amortis.from_numpyro(saw.model, x, flat)
        precision, mean, evidence = dense(x, flat)
        value = bound.log_joint({"theta": jnp.asarray(mean[0])}, {"z": jnp.asarray(mean[1:])})
        height = 0.5 * np.linalg.slogdet(precision / (2 * math.pi))[1]
        np.testing.assert_allclose(value, evidence + height, atol=1e-8)


@pytest.mark.parametrize("flat", [True, False])
def test_the_verdict_names_both_rows_and_the_first_unit(flat):
    x = saw.simulate(Setting.PAPER, 30, seed=7)
    verdict = amortis.check(saw.model, x, flat)
    assert verdict.kind is amortis.Kind.WINDOWED
    assert [given.offsets for given in verdict.inputs] == [(-1, 0)]
    assert verdict.edges == (0,)


def test_two_rows_close_the_gap_and_one_does_not(key):
    x = saw.simulate(Setting.PAPER, 100, seed=8)
    best, bound = saw.exact(x, flat=False), amortis.from_numpyro(saw.model, x, False)
    fit = amortis.fit(bound, key=key)
    assert isinstance(fit.guide.inference, amortis.Windowed)
    assert fit.guide.inference.offsets == (-1, 0)
    assert best.elbo - 0.5 < saw.exact_elbo(fit, x, flat=False) < best.elbo + 1e-3
    alone = amortis.fit(bound, key=key, inference=amortis.Polynomial(1))
    assert saw.exact_elbo(alone, x, flat=False) == pytest.approx(best.alone_elbo, abs=0.01)
    assert best.elbo - best.alone_elbo > 10
