"""KL annealing: the weighted bound by its definition, and a fit that ends at the ELBO."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jax.scipy.stats import norm

from amortis import (
    AnnealedKL,
    ArgumentError,
    ClosedFormEntropy,
    DiagonalNormal,
    FreeBits,
    Iterative,
    Point,
    Polynomial,
    StickTheLanding,
    fit,
    from_density,
    from_numpyro,
)
from amortis.guide import Guide
from amortis.objectives import NegativeElbo
from amortis.objectives.annealed_kl import WeightedElbo
from tests.contracts import problem
from tests.exact_models import linear


@pytest.fixture(scope="module")
def parts():
    with jax.enable_x64(True):
        bound = problem.bound()
        loss = problem.loss_of(bound, "point", "linear", "closed")
        yield bound, loss, problem.parameters_of(loss), problem.noise_of(5)


def drawn_of(loss, parameters, noise):
    """Draws of the globals and of unconstrained locals, and raw parameters of the rows."""
    raw = np.asarray(loss.guide.fitted_raw(parameters, None))
    mean, log_sd = np.split(raw, 2, axis=1)
    theta = np.broadcast_to(np.asarray(parameters["globals"]), (noise.theta.shape[0], 3))
    return theta, mean + np.exp(log_sd) * np.asarray(noise.z), raw


def priors_of(theta, z):
    """log p(z) and log p(log w) of the rows, draws first."""
    spread = jnp.exp(theta[:, 1:])
    first = norm.logpdf(z[..., 0], theta[:, :1], 1.3)
    second = norm.logpdf(z[..., 1:], 0.0, spread[:, None, :]).sum(axis=2)
    return first, second


def test_models_tell_the_prior_of_their_locals_apart(parts):
    bound, loss, parameters, noise = parts
    theta, z, _ = drawn_of(loss, parameters, noise)
    terms = bound.log_terms(
        loss.guide.theta.split(jnp.asarray(theta[0])), loss.guide.z.split(jnp.asarray(z[0]))
    )
    first, second = priors_of(theta, z)
    np.testing.assert_allclose(terms.local_priors["z"], first[0], rtol=1e-10)
    np.testing.assert_allclose(terms.local_priors["w"], second[0], rtol=1e-10)


def test_groups_have_priors_too():
    with jax.enable_x64(True):

        def model(y, group):
            with numpyro.plate("groups", 3):
                z = numpyro.sample("z", dist.HalfNormal(2.0))
            with numpyro.plate("rows", y.shape[0]):
                numpyro.sample("y", dist.Normal(z[group], 1.0), obs=y)

        bound = from_numpyro(model, np.arange(5.0), np.asarray([0, 0, 1, 2, 2]))
        u = jnp.asarray([0.3, -1.0, 0.7])
        found = bound.log_terms({}, {"z": u}).local_priors["z"]
        wanted = norm.logpdf(jnp.exp(u), 0.0, 2.0) + jnp.log(2.0) + u
        np.testing.assert_allclose(found, wanted, rtol=1e-10)
        some = bound.log_terms({}, {"z": u[1:]}, bound.rows(jnp.asarray([1, 2])))
        np.testing.assert_allclose(some.local_priors["z"], wanted[1:], rtol=1e-10)


@pytest.mark.parametrize("gradient", [ClosedFormEntropy(), StickTheLanding()])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_weighted_bound_is_that_of_its_definition(parts, weight, gradient):
    with jax.enable_x64(True):
        bound, loss, parameters, noise = parts
        loss = NegativeElbo(bound, loss.guide, gradient)
        theta, z, raw = drawn_of(loss, parameters, noise)
        whole = problem.log_joint(jnp.asarray(theta), jnp.asarray(z), bound.data, False)
        prior = sum(priors_of(theta, z)).sum(axis=1)
        mean, log_sd = np.split(raw, 2, axis=1)
        if isinstance(gradient, StickTheLanding):
            entropy = -norm.logpdf(z, mean, np.exp(log_sd)).sum(axis=(1, 2))
        else:
            entropy = np.full(5, (log_sd + 0.5 * np.log(2 * np.pi * np.e)).sum())
        bounds = whole - prior + weight * (prior + entropy)
        wanted = -float(np.asarray(noise.weight) @ np.asarray(bounds)) / problem.ROWS
        found = WeightedElbo(loss, jnp.asarray(weight)).value(parameters, noise, None)
        np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_the_weight_rises_to_one():
    weights = AnnealedKL(steps=400, first_weight=0.2).weights()
    assert len(weights) == 20 and weights[0] == 0.2 and max(weights) < 1.0
    np.testing.assert_allclose(np.diff([*weights, 1.0]), 0.04)


def test_the_fit_ends_at_the_elbo(key):
    """On the linear model, whose optimum is known; and the record says that it is one."""
    exact = linear.example(40)
    bound = from_numpyro(linear.model, exact.x, exact.tau, exact.sigma)
    fitted = fit(bound, key=key, inference=Polynomial(1), objective=AnnealedKL(steps=60))
    assert fitted.maximises_elbo and fitted.objective == AnnealedKL(steps=60)
    (theta,), (theta_sd,) = fitted.global_moments()
    z, z_sd = fitted.local_moments()
    found = exact.elbo_of((theta, theta_sd), (z[:, 0], z_sd[:, 0]))
    assert abs(found - exact.elbo) < 1e-3
    sd = float(fitted.covariance()[0, 0]) ** 0.5
    np.testing.assert_allclose(sd, np.sqrt(exact.v / exact.n), rtol=1e-2)


@pytest.mark.parametrize("objective", [AnnealedKL(), FreeBits()])
def test_what_has_no_prior_of_locals_is_refused_in_one_line(objective, key):
    apart = from_density(
        lambda theta: -0.5 * theta["u"] ** 2,
        lambda theta, z, row: -0.5 * z["z"] ** 2 - 0.5 * (row - theta["u"] - z["z"]) ** 2,
        jnp.zeros(3),
        globals_={"u": ()},
        locals_={"z": ()},
    )
    exact = linear.example(5)
    bound = from_numpyro(linear.model, exact.x, exact.tau, exact.sigma)
    steps = {"inference": Iterative(Polynomial(1), 2)}
    for model, choices, message in (
        (apart, {}, "does not tell log p"),
        (bound, steps, "is trained on its own steps"),
    ):
        with pytest.raises(ArgumentError, match=message) as caught:
            fit(model, key=key, objective=objective, **choices)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "AnnealedKL steps is 0"),
        ({"first_weight": 1.0}, "AnnealedKL first_weight is 1.0"),
        ({"first_weight": -0.1}, "AnnealedKL first_weight is -0.1"),
        ({"rate": 0.0}, "AnnealedKL rate is 0.0"),
    ],
)
def test_schedules_that_are_refused(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        AnnealedKL(**wrong)


def test_guides_of_points_have_no_determinant(parts):
    """What the definition above leaves out for point estimates is what the guide leaves out."""
    _, loss, _, _ = parts
    assert isinstance(loss.guide, Guide) and loss.guide.global_family == Point()
    assert loss.guide.local_family == DiagonalNormal()
