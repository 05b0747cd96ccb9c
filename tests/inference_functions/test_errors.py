"""Iterated functions that read errors, begin at the prior, or hold networks of other sizes."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    MLP,
    AdamSteps,
    Additive,
    ArgumentError,
    AutoAmortizedNormal,
    Errors,
    FromPrior,
    FullRank,
    GradientAscent,
    Iterative,
    LogSign,
    MomentumSteps,
    Network,
    Point,
    Polynomial,
    Replacing,
    calibrate,
    fit,
    from_density,
    from_numpyro,
    infer,
)
from amortis.families import DiagonalNormal
from amortis.guide import Guide
from amortis.inference_functions import AbstractRowFunction
from amortis.objectives import with_row_elbos

KEY = jax.random.key(5)
X = 1.0 + np.random.default_rng(5).normal(size=60) * 5.0**0.5


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def linear(x):
    theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.5))
        numpyro.sample("x", dist.Normal(z, 2.0), obs=x)


@pytest.fixture(scope="module")
def model():
    return from_numpyro(linear, X)


def guide_of(model, inference):
    return with_row_elbos(Guide.for_model(model, inference, Point(), DiagonalNormal()), model)


def at(guide, theta):
    return {"globals": jnp.asarray([theta]), "locals": guide.init(KEY)["locals"]}


@pytest.mark.parametrize("beside", [None, LogSign()], ids=["errors", "beside-slopes"])
def test_a_step_reads_the_errors_at_the_middle_of_the_factor(model, beside):
    function = Iterative(Polynomial(1), 2, Errors(beside), Additive(), reads_context=False)
    guide = guide_of(model, function)
    parameters = at(guide, 0.8)
    weights = np.random.default_rng(1).normal(size=parameters["locals"]["network"].shape) * 0.3
    parameters["locals"]["network"] = jnp.asarray(weights)
    raw = np.zeros((len(X), 2))
    for found in np.asarray(guide.iterates(parameters, None)):
        read = [np.ones((len(X), 1)), raw, np.arcsinh((raw[:, :1] - 0.8) / 1.5)]
        read.append(np.arcsinh((X[:, None] - raw[:, :1]) / 2.0))
        if beside is not None:
            of_mean = (X - raw[:, 0]) / 4.0 - (raw[:, 0] - 0.8) / 2.25
            of_log_sd = 1.0 - np.exp(2.0 * raw[:, 1]) * (1.0 / 4.0 + 1.0 / 2.25)
            read.append(np.asarray(beside(jnp.asarray(np.stack([of_mean, of_log_sd], axis=1)))))
        raw = raw + np.concatenate(read, axis=1) @ weights
        np.testing.assert_allclose(found, raw, rtol=1e-6, atol=1e-8)


def test_functions_of_errors_learn_each_rows_factor(model):
    """z given x and theta is normal with precision 1/4 + 4/9, whose mean errors tell."""
    inference = Iterative(MLP(8), 2, Errors(), start=FromPrior(), reads_context=False)
    fitted = fit(model, key=KEY, inference=inference, globals_=Point())
    theta = float(fitted.global_moments()[0][0])
    new = infer(fitted, np.asarray([-1.0, 0.5, 3.0]))
    for bound, x in ((fitted, X), (new, np.asarray([-1.0, 0.5, 3.0]))):
        mean, sd = (np.asarray(part)[:, 0] for part in bound.local_moments())
        precision = 0.25 + 1.0 / 2.25
        np.testing.assert_allclose(mean, (x / 4.0 + theta / 2.25) / precision, atol=0.08)
        np.testing.assert_allclose(sd, precision**-0.5, rtol=0.05)


@pytest.mark.parametrize(
    "inference",
    [
        GradientAscent(MomentumSteps(1e-12), 1, FromPrior()),
        GradientAscent(AdamSteps(1e-12), 1, FromPrior()),
        Iterative(Polynomial(1), 1, gate=Additive(), start=FromPrior()),
    ],
    ids=["momentum", "adam", "iterative"],
)
def test_the_first_iterate_is_the_prior(model, inference):
    """Steps of no length, and networks without weights, stay there; it moves with the globals."""
    guide = guide_of(model, inference)
    for theta in (0.8, -2.0):
        parameters = jax.tree.map(jnp.zeros_like, at(guide, theta))
        parameters["globals"] = jnp.asarray([theta])
        found = guide.iterates(parameters, jnp.asarray([4, 1]))[-1]
        np.testing.assert_allclose(found, [[theta, np.log(1.5)]] * 2, atol=1e-8)


class TooWide(AbstractRowFunction):
    """Returns one number more than it is asked for."""

    @property
    def owns_rows(self):
        return False

    @property
    def closed_under_linear_maps(self):
        return False

    def init(self, key, shape):
        return jnp.zeros(shape.outputs + 1)

    def __call__(self, parameters, context, index):
        return jnp.broadcast_to(parameters, (context.shape[0], parameters.shape[0]))


def other_sizes(key, columns, outputs):
    return eqx.nn.Linear(columns, 3, key=key)


def by_density():
    return from_density(
        lambda theta: -0.5 * theta["theta"] ** 2,
        lambda theta, z, x: -0.5 * (z["z"] - theta["theta"]) ** 2 - 0.5 * (x - z["z"]) ** 2,
        X,
        globals_={"theta": ()},
        locals_={"z": ()},
    )


@pytest.mark.parametrize(
    ("inference", "message"),
    [
        (
            Iterative(TooWide()),
            r"returned shape \(60, 5\) .* expected \(rows, 4\)",
        ),
        (Iterative(TooWide(), gate=Replacing()), r"\(60, 3\) .* expected \(rows, 2\): Replacing"),
        (
            Iterative(Network(other_sizes)),
            r"gives 4 outputs to Highway\(\); Network returns shape \(3,\); expected \(4,\)",
        ),
    ],
    ids=["function", "gate", "module"],
)
def test_networks_of_other_sizes_are_refused(model, inference, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        guide = guide_of(model, inference)
        guide.fitted_raw(at(guide, 0.0), None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("inference", "message"),
    [
        (Iterative(encoding=Errors()), "does not say what it observes; expected one made by from"),
        (GradientAscent(start=FromPrior()), "does not say what it observes; expected one made by"),
    ],
)
def test_densities_have_no_sites(inference, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        fit(by_density(), key=KEY, inference=inference)
    assert "\n" not in str(caught.value)


def test_a_prior_of_another_family_is_refused(model):
    with pytest.raises(ArgumentError, match=r"prior, but locals_ is FullRank") as caught:
        fit(model, key=KEY, inference=GradientAscent(start=FromPrior()), locals_=FullRank())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("inference", [Iterative(MLP(4, 1), 2), GradientAscent(steps=2)])
def test_what_has_no_bound_data_is_refused_in_one_line(model, inference):
    """Simulated data and those of NumPyro's handlers have no ELBO to climb."""
    guide = guide_of(model, inference)
    plain = fit(model, key=KEY, inference=Polynomial(1), globals_=Point())
    fitted = dataclasses.replace(plain, guide=guide, variational=at(guide, 0.0))
    name = type(inference).__name__
    for call, message in (
        (lambda: calibrate(fitted, key=KEY), rf"the fit has {name}\(...\), whose steps climb"),
        (lambda: AutoAmortizedNormal.from_fit(fitted), rf"inference is {name}\(...\), whose steps"),
        (lambda: AutoAmortizedNormal(linear, inference=inference), rf"inference is {name}\(...\)"),
        (
            lambda: guide.local_raw(fitted.variational, jnp.zeros((3, 1)), None),
            rf"{name}\(...\) was asked for factors without a model",
        ),
    ):
        with pytest.raises(ArgumentError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
