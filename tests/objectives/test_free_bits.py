"""Free bits: the objective by its definition, group by group."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

from amortis import (
    ArgumentError,
    ClosedFormEntropy,
    FixedDraws,
    FreeBits,
    FullRank,
    Mixture,
    Polynomial,
    StickTheLanding,
    fit,
)
from amortis.guide import Guide
from amortis.objectives import FreeBitsLoss, NegativeElbo
from tests.contracts import problem
from tests.objectives.test_annealed_kl import drawn_of, parts, priors_of

__all__ = ["parts"]


def naive(bound, loss, parameters, noise, nats, stick):
    """Likelihoods, and the divergences of both sites, in NumPy."""
    theta, z, raw = drawn_of(loss, parameters, noise)
    weight = np.asarray(noise.weight)
    joint = problem.log_joint(jnp.asarray(theta), jnp.asarray(z), bound.data, False)
    globals_prior = joint - sum(priors_of(theta, z)).sum(axis=1)  # with the likelihood
    mean, log_sd = np.split(raw, 2, axis=1)
    each = np.broadcast_to(log_sd + 0.5 * np.log(2 * np.pi * np.e), z.shape)
    if stick:
        each = -norm.logpdf(z, mean, np.exp(log_sd))
    first, second = priors_of(theta, z)
    kl = [-(first + each[..., 0]), -(second + each[..., 1:].sum(axis=2))]
    divergences = [float(weight @ np.asarray(k).mean(axis=1)) for k in kl]
    cost = sum(max(nats, k) for k in divergences)
    return cost - float(weight @ np.asarray(globals_prior)) / problem.ROWS, divergences


@pytest.mark.parametrize("gradient", [ClosedFormEntropy(), StickTheLanding()])
def test_the_value_is_that_of_the_definition(parts, gradient):
    with jax.enable_x64(True):
        bound, loss, parameters, noise = parts
        elbo = NegativeElbo(bound, loss.guide, gradient)
        stick = isinstance(gradient, StickTheLanding)
        _, divergences = naive(bound, loss, parameters, noise, 0.0, stick)
        low, high = sorted(divergences)
        assert high > low > 0
        # Both groups above the floor, one of them, and none.
        for nats in (0.5 * low, 0.5 * (low + high), 2.0 * high):
            wanted, _ = naive(bound, loss, parameters, noise, nats, stick)
            found = FreeBitsLoss(elbo, nats).value(parameters, noise, None)
            np.testing.assert_allclose(found, wanted, rtol=1e-10)
        plain = elbo.value(parameters, noise, None)
        np.testing.assert_allclose(
            FreeBitsLoss(elbo, 0.5 * low).value(parameters, noise, None), plain, rtol=1e-10
        )


def test_a_factor_that_ties_sites_is_one_group(parts):
    with jax.enable_x64(True):
        bound, loss, _, noise = parts
        guide = Guide.for_model(bound, Polynomial(1), loss.guide.global_family, FullRank())
        elbo = NegativeElbo(bound, guide, ClosedFormEntropy())
        parameters = problem.parameters_of(elbo)
        plain = float(elbo.value(parameters, noise, None))
        tiny, half, huge = (
            float(FreeBitsLoss(elbo, nats).value(parameters, noise, None))
            for nats in (1e-9, 50.0, 100.0)
        )
        np.testing.assert_allclose(tiny, plain, rtol=1e-10)
        np.testing.assert_allclose(huge - half, 50.0, rtol=1e-10)  # one group, one floor


def test_below_the_floor_a_divergence_has_no_slope(parts):
    with jax.enable_x64(True):
        bound, loss, parameters, noise = parts
        slope = jax.grad(FreeBitsLoss(loss, 1e3).value)(parameters, noise, None)

        def likelihood(parameters):
            wide = loss.guide.fitted_raw(parameters, None)
            mean, log_sd = jnp.split(wide, 2, axis=1)
            theta = jnp.broadcast_to(parameters["globals"], (5, 3))
            z = mean + jnp.exp(log_sd) * noise.z
            joint = problem.log_joint(theta, z, bound.data, False)
            return -noise.weight @ (joint - sum(priors_of(theta, z)).sum(axis=1)) / problem.ROWS

        wanted = jax.grad(likelihood)(parameters)
        for ours, theirs in zip(jax.tree.leaves(slope), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_what_does_not_fit_is_refused_in_one_line(key):
    bound = problem.bound()
    for choices, message in (
        ({"optimiser": FixedDraws()}, "sums over draws"),
        ({"globals_": Mixture(2)}, r"globals' Mixture\(...\) jump"),
    ):
        with pytest.raises(ArgumentError, match=message) as caught:
            fit(bound, key=key, objective=FreeBits(), inference=Polynomial(1), **choices)
        assert "\n" not in str(caught.value)
    with pytest.raises(ArgumentError, match="FreeBits nats is 0"):
        FreeBits(0.0)
