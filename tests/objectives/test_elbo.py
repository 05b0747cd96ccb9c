"""The ELBO draw by draw against a loop over draws and rows."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from amortis import ClosedFormEntropy, StickTheLanding
from amortis.objectives import elbo_draws
from tests.contracts import problem
from tests.contracts.problem import ROWS


def loop(loss, parameters, noise, index, closed):
    """ELBO of each draw: plain Python over draws and rows, SciPy's densities, weight N/B."""
    guide = loss.guide
    raw = np.asarray(guide.local_raw(parameters, loss.model.inputs, None))
    x, count = (np.asarray(leaf) for leaf in loss.model.data["arrays"])
    density = guide.global_family.is_density
    values = []
    for s in range(noise.weight.shape[0]):
        g = np.asarray(parameters["globals"])
        mean, log_sd = (g[:3], g[3:]) if density else (g, None)
        theta = mean + np.exp(log_sd) * np.asarray(noise.theta[s]) if density else mean
        spread = np.exp(theta[1:])
        total = stats.norm.logpdf(theta[0], 0, 2.0) + stats.halfnorm.logpdf(spread, 0, 1.5).sum()
        if density:
            total += theta[1:].sum()
            for value, m, r in zip(theta, mean, log_sd, strict=True):
                normal = stats.norm(m, np.exp(r))
                total += normal.entropy() if closed else -normal.logpdf(value)
        for b, n in enumerate(index):
            m, r = raw[n][:3], raw[n][3:]
            z = m + np.exp(r) * np.asarray(noise.z[s, b])
            w = np.exp(z[1:])
            row = stats.norm.logpdf(z[0], theta[0], 1.3)
            row += sum(stats.lognorm.logpdf(w[j], spread[j]) + z[1 + j] for j in range(2))
            row += stats.norm.logpdf(x[n], z[0] * w, 0.7).sum()
            row += stats.expon.logpdf(count[n], scale=np.exp(-0.3 * z[0]))
            for value, mj, rj in zip(z, m, r, strict=True):
                normal = stats.norm(mj, np.exp(rj))
                row += normal.entropy() if closed else -normal.logpdf(value)
            total += ROWS / len(index) * row
        values.append(total)
    return np.array(values)


@pytest.mark.parametrize("family", problem.FAMILIES)
@pytest.mark.parametrize("gradient", problem.GRADIENTS)
@pytest.mark.parametrize("index", [None, (5, 0, 2), (1,)])
def test_it_is_a_loop_over_draws_and_rows(bound, family, gradient, index):
    loss = problem.loss_of(bound, family, "linear", gradient)
    parameters = problem.parameters_of(loss)
    rows = tuple(range(ROWS)) if index is None else index
    noise = problem.noise_of(4, rows=len(rows))
    where = None if index is None else jnp.asarray(index)
    got = eqx.filter_jit(elbo_draws)(bound, loss.guide, loss.gradient, parameters, noise, where)
    expected = loop(loss, parameters, noise, rows, gradient == "closed")
    np.testing.assert_allclose(got, expected, rtol=1e-10)
    weighted = -np.dot(noise.weight, expected) / ROWS
    np.testing.assert_allclose(float(loss.value(parameters, noise, where)), weighted, rtol=1e-10)


def test_noise_that_all_rows_share_is_the_same_noise_for_each(bound):
    loss = problem.loss_of(bound, "diagonal", "linear", "closed")
    parameters, noise = problem.parameters_of(loss), problem.noise_of(3, rows=1)
    wide = eqx.tree_at(lambda n: n.z, noise, jnp.tile(noise.z, (1, ROWS, 1)))
    np.testing.assert_allclose(
        float(loss.value(parameters, noise, None)),
        float(loss.value(parameters, wide, None)),
        rtol=1e-12,
    )


def test_both_estimators_have_the_same_mean(bound):
    loss = problem.loss_of(bound, "diagonal", "linear", "closed")
    parameters, noise = problem.parameters_of(loss), problem.noise_of(4000, seed=3)
    closed, stick = (
        np.asarray(eqx.filter_jit(elbo_draws)(bound, loss.guide, g, parameters, noise, None))
        for g in (ClosedFormEntropy(), StickTheLanding())
    )
    difference = closed - stick
    # 4.5 standard errors: false-failure rate 7e-6.
    assert abs(difference.mean()) < 4.5 * difference.std() / np.sqrt(4000)
    assert difference.std() > 0.1
