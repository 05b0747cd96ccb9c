"""Rényi's and the importance-weighted bound, against their definitions and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jax.scipy.stats import norm
from scipy.special import logsumexp

from amortis import (
    ArgumentError,
    ClosedFormEntropy,
    DiagonalNormal,
    ImportanceWeighted,
    Polynomial,
    Renyi,
    StickTheLanding,
    fit,
    from_density,
    from_numpyro,
)
from amortis.guide import Guide, Noise
from amortis.inference_functions import Constant

KEY = jax.random.key(4)


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def _log_p(u):
    """A normal with mean 1 and variance 2, and the evidence log 3."""
    return norm.logpdf(u, 1.0, 2.0**0.5) + np.log(3.0)


@pytest.fixture(scope="module")
def alone():
    return from_density(
        lambda theta: _log_p(theta["u"]),
        lambda theta, z, row: jnp.zeros(()),
        jnp.zeros(1),
        globals_={"u": ()},
        locals_={},
    )


def _loss(model, objective):
    guide = Guide.for_model(model, Constant(), DiagonalNormal(), DiagonalNormal())
    parameters = guide.init(KEY)
    parameters = {**parameters, "globals": jnp.asarray([0.4, 0.1])}  # mean, log sd
    return objective.loss(model, guide, StickTheLanding()), parameters


def _naive(noise, order, draws):
    """Bounds from groups of K draws, in NumPy."""
    u = 0.4 + np.exp(0.1) * np.asarray(noise.theta)[:, 0]
    log_q = norm.logpdf(u, 0.4, np.exp(0.1))
    log_w = np.asarray(_log_p(u) - log_q).reshape(-1, draws)
    return (logsumexp(order * log_w, axis=1) - np.log(draws)) / order


@pytest.mark.parametrize(
    ("objective", "order"),
    [(ImportanceWeighted(5), 1.0), (Renyi(0.3, 5), 0.7), (Renyi(2.0, 5), -1.0)],
)
def test_the_value_is_that_of_the_definition(alone, objective, order):
    loss, parameters = _loss(alone, objective)
    noise = loss.fresh_noise(KEY, 40, 1)
    expected = -_naive(noise, order, 5).mean()
    np.testing.assert_allclose(loss.value(parameters, noise, None), expected, rtol=1e-10)


@pytest.mark.parametrize("objective", [ImportanceWeighted(4), Renyi(0.5, 4)], ids=str)
def test_doubly_reparameterized_gradients_are_right_on_average(alone, objective):
    """Beside the total derivative of the definition, group by group with the same noise."""
    loss, parameters = _loss(alone, objective)
    order, groups = 1.0 - getattr(objective, "alpha", 0.0), 40_000
    noise = loss.fresh_noise(KEY, groups, 1)

    def plain(raw, epsilon):
        u = raw[0] + jnp.exp(raw[1]) * epsilon
        log_w = _log_p(u) - norm.logpdf(u, raw[0], jnp.exp(raw[1]))
        return -(jax.nn.logsumexp(order * log_w) - jnp.log(4.0)) / order

    def ours(raw, epsilon):
        one = Noise(epsilon[:, None], noise.z[:4], noise.weight[:4])
        return loss.value({**parameters, "globals": raw}, one, None)

    every = noise.theta.reshape(groups, 4)
    of = lambda f: jax.jit(jax.vmap(jax.grad(f), (None, 0)))(parameters["globals"], every)  # noqa: E731
    apart = np.asarray(of(ours) - of(plain))
    error = apart.std(axis=0) / np.sqrt(groups)
    # Four and a half standard errors of two numbers: false-failure rate 1.4e-5.
    assert (np.abs(apart.mean(axis=0)) < 4.5 * error).all()
    # Where q is the posterior there is no noise left, which the total derivative has.
    at_posterior = jnp.asarray([1.0, 0.5 * np.log(2.0)])
    slopes = jax.vmap(jax.grad(ours), (None, 0))(at_posterior, every[:50])
    np.testing.assert_allclose(slopes, 0.0, atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("draws", [4, 16])
def test_the_optimum_is_the_posterior_where_that_is_in_the_family(alone, draws, seed):
    """Early blocks, whose noise is large, may be luckier than the optimum, and are not kept."""
    fitted = fit(alone, key=jax.random.key(seed), objective=ImportanceWeighted(draws))
    mean, sd = (float(part[0]) for part in fitted.global_moments())
    assert abs(mean - 1.0) < 0.02 * sd and abs(sd / 2.0**0.5 - 1.0) < 0.02


def test_rows_have_bounds_of_their_own():
    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    x = np.asarray([-1.0, 0.5, 2.0])
    bound = from_numpyro(model, jnp.asarray(x))
    guide = Guide.for_model(bound, Polynomial(1), DiagonalNormal(), DiagonalNormal())
    parameters = guide.init(KEY)
    loss = ImportanceWeighted(3).loss(bound, guide, ClosedFormEntropy())
    noise = loss.fresh_noise(KEY, 7, 3)
    mean, log_sd = np.split(np.asarray(guide.fitted_raw(parameters, None)), 2, axis=1)
    z = mean[:, 0] + np.exp(log_sd[:, 0]) * np.asarray(noise.z)[..., 0]  # draws, rows
    log_w = (
        norm.logpdf(z) + norm.logpdf(x, z, 1.0) - norm.logpdf(z, mean[:, 0], np.exp(log_sd[:, 0]))
    )
    groups = np.asarray(log_w).reshape(7, 3, 3)
    expected = -(logsumexp(groups, axis=1) - np.log(3.0)).sum(axis=1).mean() / 3
    np.testing.assert_allclose(loss.value(parameters, noise, None), expected, rtol=1e-10)


@pytest.mark.parametrize("alpha", [1.0, -0.5, np.nan, np.inf, "0.5", None, [0.5], True])
def test_orders_that_are_refused(alpha, monkeypatch):
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # which comes first here
    with pytest.raises(
        ArgumentError, match=r"Renyi alpha is .*; expected a number from 0"
    ) as caught:
        Renyi(alpha)
    assert "\n" not in str(caught.value)
