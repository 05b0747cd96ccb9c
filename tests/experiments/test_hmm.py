import math

import numpy as np
import pytest
from scipy import stats

import amortis
from amortis import Kind
from amortis.experiments import hmm
from amortis.experiments.comparison import Setting

SIZE = 14


def precision_of_chain(size: int, first: float) -> np.ndarray:
    """Eq. 42 with its slips put right, entry by entry."""
    precision = np.zeros((size + 1, size + 1))
    precision[0, 0], precision[size, size] = first, 2.0
    for n in range(1, size):
        precision[n, n] = 3.0
    for n in range(size):
        precision[n, n + 1] = precision[n + 1, n] = -1.0
    return precision


@pytest.mark.parametrize(("flat", "first"), [(True, 1.0), (False, 2.0)])
def test_the_chains_posterior_is_that_of_its_joint_covariance(flat, first):
    x = np.random.default_rng(0).normal(size=SIZE)
    exact = hmm.exact_hmm(x, flat)
    np.testing.assert_allclose(exact.precision, precision_of_chain(SIZE, first), atol=1e-12)
    if flat:
        return
    # z = (z_0, ..., z_N) is a walk: Cov(z_n, z_m) = 1 + min(n, m).
    places = np.arange(SIZE + 1.0)
    walk = 1.0 + np.minimum.outer(places, places)
    seen = walk[1:, 1:] + np.eye(SIZE)
    np.testing.assert_allclose(hmm.chain_covariance(SIZE), walk[1:, 1:], atol=1e-12)
    np.testing.assert_allclose(exact.mean, walk[:, 1:] @ np.linalg.solve(seen, x), atol=1e-8)
    law = stats.multivariate_normal(np.zeros(SIZE), seen)
    np.testing.assert_allclose(exact.evidence, law.logpdf(x), atol=1e-8)


def test_a_flat_start_is_the_limit_of_wide_ones():
    x, wide = np.random.default_rng(1).normal(size=SIZE), 1e7
    seen = wide + hmm.chain_covariance(SIZE) - 1.0 + np.eye(SIZE)
    evidence = stats.multivariate_normal(np.zeros(SIZE), seen).logpdf(x)
    expected = evidence + 0.5 * math.log(2 * math.pi * wide)
    np.testing.assert_allclose(hmm.exact_hmm(x, flat=True).evidence, expected, atol=1e-5)


def test_the_process_is_conditioned_as_a_kernel_is():
    x = np.random.default_rng(2).normal(size=SIZE)
    exact, kernel = hmm.exact_gp(x), hmm.kernel(SIZE)
    seen = kernel + np.eye(SIZE)
    np.testing.assert_allclose(exact.mean, kernel @ np.linalg.solve(seen, x), atol=1e-8)
    law = stats.multivariate_normal(np.zeros(SIZE), seen)
    np.testing.assert_allclose(exact.evidence, law.logpdf(x), atol=1e-8)
    posterior = kernel - kernel @ np.linalg.solve(seen, kernel)
    np.testing.assert_allclose(np.linalg.inv(exact.precision), posterior, atol=1e-8)


def test_the_papers_counter_example_fails_and_its_repairs_stand():
    ones = np.ones(hmm.ROWS)
    last = np.append(ones[:-1], 3.0)
    flat, normal, bent = (
        hmm.exact_hmm(ones, flat=True),
        hmm.exact_hmm(ones),
        hmm.exact_hmm(last, flat=True),
    )
    np.testing.assert_allclose(flat.mean, 1.0, atol=1e-8)
    np.testing.assert_allclose(normal.mean[:4], [0.382, 0.764, 0.910, 0.966], atol=5e-4)
    np.testing.assert_allclose(bent.mean[-4:], [1.069, 1.180, 1.472, 2.236], atol=5e-4)
    assert flat.gap == pytest.approx(7.0091, abs=5e-5)
    assert normal.gap == pytest.approx(6.8744, abs=5e-5)
    # The matrix as printed, with -2 beside the diagonal, is no precision.
    printed = precision_of_chain(hmm.ROWS, 1.0)
    printed[printed == -1.0] = -2.0
    assert np.linalg.eigvalsh(printed)[0] < 0


def test_kl_is_that_of_two_gaussians():
    exact, generator = hmm.exact_hmm(np.ones(SIZE)), np.random.default_rng(3)
    mean, sd = generator.normal(size=SIZE + 1), np.exp(generator.normal(size=SIZE + 1))
    q = stats.multivariate_normal(mean, np.diag(sd**2))
    covariance = np.linalg.inv(exact.precision)
    cross = stats.multivariate_normal(exact.mean, covariance).logpdf(mean)
    cross -= 0.5 * np.sum(np.diag(exact.precision) * sd**2)
    np.testing.assert_allclose(exact.kl(mean, sd), -q.entropy() - cross, atol=1e-8)


@pytest.mark.parametrize("half_width", [0, 1, 3])
def test_no_linear_function_of_a_window_is_better_than_the_best(half_width):
    x = hmm.simulate(hmm.chain_covariance(40), seed=4)
    exact = hmm.exact_hmm(x)
    best = hmm.best_linear_gap(exact, x, half_width)
    generator = np.random.default_rng(5)
    # Naive: the functions written out unit by unit, moved a little away from the optimum.
    whole = range(half_width, 40 - half_width)
    rows = [np.append(1.0, x[n - half_width : n + half_width + 1]) for n in whole]
    free = [n for n in range(41) if n - 1 not in whole]
    design = np.zeros((41, 2 + 2 * half_width + len(free)))
    design[[n + 1 for n in whole], : 2 + 2 * half_width] = rows
    for column, n in enumerate(free):
        design[n, 2 + 2 * half_width + column] = 1.0
    weighted = design.T @ exact.precision
    phi = np.linalg.solve(weighted @ design, weighted @ exact.mean)
    psi = np.linalg.lstsq(design, -0.5 * np.log(np.diag(exact.precision)), rcond=None)[0]

    def gap(phi: np.ndarray, psi: np.ndarray) -> float:
        return exact.kl(design @ phi, np.exp(design @ psi)) - exact.gap

    assert 0 < best <= gap(phi, psi) + 1e-9
    assert best == pytest.approx(gap(phi, psi), abs=0.05)  # psi is near the optimum, phi is it
    for _ in range(50):
        moved = [p + 0.01 * generator.normal(size=p.shape) for p in (phi, psi)]
        assert best < gap(*moved)


def test_the_gap_shrinks_geometrically_and_never_closes():
    x = hmm.simulate(hmm.chain_covariance(hmm.WINDOW_ROWS), seed=0)
    exact = hmm.exact_hmm(x)
    gaps = np.asarray([hmm.best_linear_gap(exact, x, w) for w in range(1, 8)])
    assert (gaps > 0).all()
    rate = (gaps[-1] / gaps[0]) ** (1 / 6)
    assert rate == pytest.approx(((3 - math.sqrt(5)) / 2) ** 2, rel=0.15)


def test_both_models_are_coupled():
    ones = np.ones(30)
    for model, x in ((hmm.hmm, ones), (hmm.gp, hmm.simulate(hmm.kernel(20), seed=0))):
        verdict = amortis.check(model, x)
        assert verdict.kind is Kind.COUPLED and verdict.answer is False
    assert amortis.check(hmm.hmm, ones, True).couplings[0].offsets == (-1, 1)


def test_a_fit_reaches_the_closed_form(key):
    x = np.ones(12)
    exact, bound = hmm.exact_hmm(x), amortis.from_numpyro(hmm.hmm, x)
    fit = amortis.fit(bound, key=key, inference=amortis.Table())
    assert exact.kl_of(fit) == pytest.approx(exact.gap, abs=1e-3)
    sampled = fit.elbo(key=key, draws=2000)
    short = exact.evidence - sampled.mean
    assert abs(short - exact.kl_of(fit)) < 4 * sampled.se


@pytest.mark.slow
def test_all_fits_reach_the_closed_forms(key):
    found = hmm.run(Setting.PAPER, key=key, sizes=(20, 30, 20), half_widths=(1,))
    exact = [line for line in found.lines if line.quantity != "evidence - ELBO, nats"]
    for line in exact:
        if "network" not in line.name:
            assert line.result == pytest.approx(line.reference, abs=0.03), line
    for line in found.lines:
        assert line.result == pytest.approx(line.reference, abs=0.4), line


def test_no_code_was_published(key):
    with pytest.raises(amortis.ArgumentError, match="published no code"):
        hmm.run(Setting.CODE, key=key)
