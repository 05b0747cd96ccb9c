"""Linear response, and factors that move with the globals, against exact Gaussian posteriors."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    ArgumentError,
    Conditional,
    FixedDraws,
    Flow,
    FullRank,
    ImportanceWeighted,
    Laplace,
    Mixture,
    Point,
    Polynomial,
    Status,
    Table,
    fit,
    from_density,
    from_numpyro,
    infer,
)
from amortis._errors import NotAnOptimumError
from amortis.families import DiagonalNormal
from amortis.guide import Guide
from amortis.inference_functions import Constant, SetNetwork
from tests.exact_models import linear

N = 30
KEY = jax.random.key(1)
CLOSE = FixedDraws(tolerance=1e-6, mean_tolerance=1e-5, sd_tolerance=1e-5)


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def exact():
    return linear.example(N)


@pytest.fixture(scope="module")
def bound(exact):
    return from_numpyro(linear.model, exact.x, exact.tau, exact.sigma)


@pytest.fixture(scope="module")
def mean_field(bound):
    functions = {"A-VI": Polynomial(1), "F-VI": Table()}
    return {
        name: fit(bound, key=KEY, inference=function, optimiser=CLOSE)
        for name, function in functions.items()
    }


@pytest.fixture(scope="module")
def tied(bound):
    return fit(bound, key=KEY, inference=Polynomial(1), locals_=Conditional(), optimiser=CLOSE)


@pytest.fixture(scope="module")
def covariance(exact):
    """Of (theta, z_1, ..., z_N)."""
    return np.linalg.inv(exact.posterior[1])


@pytest.mark.parametrize(
    ("function", "family"),
    [
        (Polynomial(1), None),
        pytest.param(Table(), None, marks=pytest.mark.slow),
        (None, None),
        pytest.param(Polynomial(1), FullRank(), marks=pytest.mark.slow),
    ],
    ids=["linear", "table", "default", "full rank"],
)
def test_locals_that_move_with_the_globals_are_exact(exact, bound, function, family):
    fitted = fit(bound, key=KEY, inference=function, globals_=family, locals_=Conditional())
    estimate = fitted.elbo(key=KEY, draws=512)
    # Where q is exact log p - log q is the same everywhere; 4 errors of the mean: 6e-5.
    assert estimate.se < 1e-3
    assert abs(exact.log_evidence - estimate.mean) < 1e-3 + 4 * estimate.se
    wanted = exact.sigma**2 / exact.v + exact.tau**2 / (N * exact.v)
    np.testing.assert_allclose(fitted.local_moments()[1] ** 2, wanted, rtol=0.01)
    mean, sd = fitted.global_moments()
    np.testing.assert_allclose(sd**2, exact.v / N, rtol=0.01)
    np.testing.assert_allclose(mean, exact.theta[0], atol=0.01 * (exact.v / N) ** 0.5)


def test_draws_of_locals_and_globals_are_correlated_as_in_the_posterior(tied, covariance):
    posterior = tied.posterior(key=KEY, draws=4000)
    values = np.column_stack([posterior["theta"], posterior["z"][:, :3]])
    scale = np.sqrt(np.diag(covariance))[:4]
    found = np.cov(values.T) / np.outer(scale, scale)
    wanted = covariance[:4, :4] / np.outer(scale, scale)
    # An entry's sd is sqrt((1 + r^2) / draws); 4.9 of them for ten entries: false failures 1e-5.
    assert np.abs(found - wanted).max() < 4.9 * np.sqrt(2 / 4000)


@pytest.mark.parametrize("name", ["A-VI", "F-VI"])
def test_linear_response_of_mean_field_is_the_exact_covariance(mean_field, covariance, name):
    fitted = mean_field[name]
    np.testing.assert_allclose(fitted.covariance(), covariance[:1, :1], rtol=1e-4)
    every = fitted.covariance(lambda values: (values["theta"], values["z"]))
    np.testing.assert_allclose(every, covariance, atol=1e-4 * covariance[0, 0])
    # And q itself leaves most of it out.
    assert fitted.global_moments()[1][0] ** 2 < 0.9 * covariance[0, 0]


def test_covariances_of_linear_functions_are_exact(mean_field, covariance):
    def function(values):
        return {
            "difference": values["theta"] - values["z"][2],
            "sum": values["z"][0] + values["z"][1],
        }

    weights = np.zeros((2, N + 1))
    weights[0, [0, 3]] = 1.0, -1.0
    weights[1, [1, 2]] = 1.0
    found = mean_field["F-VI"].covariance(function)
    np.testing.assert_allclose(found, weights @ covariance @ weights.T, rtol=1e-4)


def test_of_a_square_the_mean_responds_exactly_and_the_variance_as_q_has_it(exact, mean_field):
    """Tilted by t theta^2 the posterior is normal still: d(m^2 + s^2)/dt = 4 m^2 V + 2 s^4."""
    mean, own = exact.theta
    found = mean_field["F-VI"].covariance(lambda values: values["theta"] ** 2)
    np.testing.assert_allclose(found, 4 * mean**2 * exact.v / N + 2 * own**2, rtol=1e-3)


def test_of_a_square_it_is_exact_where_q_is(exact, tied):
    variance = exact.v / N
    found = tied.covariance(lambda values: values["theta"] ** 2)
    wanted = 4 * exact.theta[0] ** 2 * variance + 2 * variance**2
    np.testing.assert_allclose(found, wanted, rtol=2e-3)


def intercepts(y, t, group, groups):
    """y = b_0 + b_1 t + z_group + noise of sd 0.8, with z of sd 0.6."""
    b = numpyro.sample("b", dist.Normal(jnp.zeros(2), 3.0).to_event(1))
    with numpyro.plate("groups", groups):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 0.6))
    with numpyro.plate("rows", y.shape[0]):
        numpyro.sample("y", dist.Normal(b[0] + b[1] * t + z[group], 0.8), obs=y)


@pytest.mark.slow
def test_ragged_groups_with_known_variances_are_all_but_exact():
    generator = np.random.default_rng(4)
    sizes = [0, 1, 2, 9, 4, 0, 3, 1, 6, 2, 5, 7]
    group = np.repeat(np.arange(12), sizes)
    t = generator.normal(size=len(group)) + 0.3 * group  # the covariate varies between groups
    y = 1.0 - 0.5 * t + 0.6 * generator.normal(size=12)[group] + 0.8 * generator.normal(size=len(t))
    fitted = fit(
        from_numpyro(intercepts, y, t, group, 12),
        key=KEY,
        globals_=FullRank(),
        locals_=Conditional(),
    )
    assert isinstance(fitted.guide.inference, SetNetwork)
    design = np.column_stack([np.ones_like(t), t, np.eye(12)[group]])
    prior = np.concatenate([np.full(2, 3.0**-2), np.full(12, 0.6**-2)])
    covariance = np.linalg.inv(np.diag(prior) + design.T @ design / 0.64)
    mean = covariance @ design.T @ y / 0.64
    marginal = 0.64 * np.eye(len(y)) + (design / prior) @ design.T
    square = y @ np.linalg.solve(marginal, y)
    evidence = -0.5 * (square + np.linalg.slogdet(2 * np.pi * marginal)[1])
    sds = np.sqrt(np.diag(covariance))
    means, found = (
        np.concatenate([np.ravel(of), np.ravel(rows)])
        for of, rows in zip(fitted.global_moments(), fitted.local_moments(), strict=True)
    )
    estimate = fitted.elbo(key=KEY, draws=512)
    assert evidence - estimate.mean < 0.05 and estimate.mean - evidence < 4 * estimate.se + 1e-6
    np.testing.assert_allclose(found, sds, rtol=0.03)
    np.testing.assert_allclose((means - mean) / sds, 0.0, atol=0.05)
    responding = fitted.covariance(lambda values: (values["b"], values["z"]))
    scaled = responding / np.outer(sds, sds)
    np.testing.assert_allclose(scaled, covariance / np.outer(sds, sds), atol=0.03)


def chain(x):
    theta = numpyro.sample("theta", dist.Normal(0.0, 2.0))
    with numpyro.plate("steps", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 2.0))
        numpyro.sample("x", dist.Normal(z, 1.0), obs=x)
    numpyro.factor("smooth", -0.5 * jnp.sum(jnp.square(z[1:] - z[:-1])) / 0.5)


def test_linear_response_of_units_that_touch_is_the_exact_covariance():
    x = np.sin(np.arange(10.0))
    model = from_numpyro(chain, x)
    assert model.coupled
    fitted = fit(model, key=KEY, inference=Table(), optimiser=CLOSE)
    steps = np.diff(np.eye(10), axis=0)
    precision = np.zeros((11, 11))
    precision[1:, 1:] = (0.25 + 1.0) * np.eye(10) + steps.T @ steps / 0.5
    precision[0, 0] = 0.25 + 10 * 0.25
    precision[0, 1:] = precision[1:, 0] = -0.25
    found = fitted.covariance(lambda values: (values["theta"], values["z"]))
    np.testing.assert_allclose(found, np.linalg.inv(precision), atol=1e-4)


def wells():
    """Two wells: the origin is a saddle of the ELBO for narrow q."""
    return from_density(
        lambda theta: -jnp.sum(jnp.square(jnp.square(theta["u"]) - 4.0)),
        lambda theta, z, row: jnp.zeros(()),
        jnp.zeros(1),
        globals_={"u": (2,)},
        locals_={},
    )


def at(model, family, raw):
    fitted = fit(model, key=KEY)
    guide = Guide.for_model(model, Constant(), family, DiagonalNormal())
    variational = {**fitted.variational, "globals": raw}
    return dataclasses.replace(fitted, guide=guide, variational=variational)


def test_a_saddle_has_no_covariance():
    model = wells()
    fitted = at(model, DiagonalNormal(), jnp.asarray([0.0, 0.0, -2.0, -2.0]))
    with pytest.raises(NotAnOptimumError, match=r"not negative definite at .*; expected") as caught:
        fitted.covariance()
    assert "\n" not in str(caught.value)


def test_families_whose_parameters_are_not_identified_are_refused():
    model, family = wells(), Flow()
    fitted = at(model, family, family.start(2, 0.0))
    with pytest.raises(ArgumentError, match=r"factor is Flow, .*; expected") as caught:
        fitted.covariance()
    assert "\n" not in str(caught.value)


def _standard_rows(size):
    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    x = np.random.default_rng(3).normal(0.4, np.sqrt(2.0), size)
    return fit(from_numpyro(model, x), key=KEY, inference=Polynomial(1), optimiser=CLOSE)


def test_functions_that_combine_rows_do_not_see_them_move_together():
    """z_n are independent N(x_n / 2, 1/2): of exp(mean z) the delta method is all but exact."""
    size = 100
    fitted = _standard_rows(size)
    m = float(np.mean(fitted.local_moments()[0]))
    exact = np.exp(2 * m + 0.5 / size) * np.expm1(0.5 / size)
    found = float(fitted.covariance(lambda v: jnp.exp(jnp.mean(v["z"])))[0, 0])
    assert abs(found / exact - 1.0) < 0.01
    # And sums over rows stay what they were.
    found = float(fitted.covariance(lambda v: jnp.sum(v["z"]))[0, 0])
    assert abs(found / (0.5 * size) - 1.0) < 1e-4


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda v: v["z"] > 0.0, r"bool numbers, whose means have no slope; expected real"),
        (lambda v: jnp.log(v["z"] - 100.0) * jnp.nan, r"no finite slope in q; expected"),
        (lambda v: np.sin(v["z"]), r"what JAX cannot follow \(TracerArray.*\); expected"),
        (lambda v: 1.0 if v["z"][0] > 0.0 else 0.0, r"cannot follow \(TracerBool.*\); expected"),
        (lambda v: "sd", r"function returned 'sd'; expected an array or a pytree of arrays"),
        (lambda v: v["w"], r"asked for the site 'w'; expected one of z"),
        (lambda v: jnp.where(v["z"] > 0.0, 1.0, 0.0), r"jump, as those of round or where"),
        (lambda v: jnp.tile(v["z"], 301), r"returned 3010 numbers; expected at most 3000"),
    ],
)
def test_functions_that_cannot_be_asked_for_are_refused(function, message):
    fitted = _standard_rows(10)
    with pytest.raises(ArgumentError, match=message) as caught:
        fitted.covariance(function)
    assert "\n" not in str(caught.value)


def _line(x):
    theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
    numpyro.sample("x", dist.Normal(theta, 1.0).expand(x.shape).to_event(1), obs=x)


@pytest.mark.parametrize(
    ("chosen", "came"),
    [
        ({"globals_": Laplace()}, r"found in another way than by maximising the ELBO"),
        ({"objective": ImportanceWeighted(2)}, r"the fit maximised ImportanceWeighted"),
    ],
    ids=["Laplace", "ImportanceWeighted"],
)
def test_what_is_no_optimum_of_the_elbo_has_no_linear_response(chosen, came):
    fitted = fit(from_numpyro(_line, jnp.ones(3)), key=KEY, **chosen)
    with pytest.raises(NotAnOptimumError, match=rf"but .*{came}.*; expected") as caught:
        fitted.covariance()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "status", [Status.DIVERGED, Status.INTERRUPTED, Status.DRAWS_EXHAUSTED], ids=str
)
def test_fits_that_did_not_end_well_have_none_either(status):
    fitted = dataclasses.replace(_standard_rows(10), status=status)
    with pytest.raises(NotAnOptimumError, match=f"but the fit ended with {status.name}; expected"):
        fitted.covariance()


def test_globals_of_other_data_have_none_either():
    with pytest.raises(NotAnOptimumError, match="q of the globals comes from other data"):
        infer(_standard_rows(10), jnp.zeros(3)).covariance()


def test_locals_that_would_move_with_a_point_are_refused():
    model, family = wells(), Conditional()
    fitted = fit(model, key=KEY, globals_=Point())
    guide = dataclasses.replace(fitted.guide, local_family=family)
    with pytest.raises(ArgumentError, match=r"Point\(\) holds at a point, .*; expected locals"):
        dataclasses.replace(fitted, guide=guide).covariance()


@pytest.mark.slow
def test_locals_move_with_a_mixture_as_with_one_normal():
    """Globals whose posterior is correlated: what locals move with has to be free of it."""

    def model(x):
        theta = numpyro.sample("theta", dist.Normal(0.0, 3.0).expand([2]).to_event(1))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(theta, 1.0).to_event(1))
            numpyro.sample("x", dist.Normal(z.sum(-1), 1.0), obs=x)

    x = np.random.default_rng(0).normal(1.0, 2.0, 20)
    bound = from_numpyro(model, x)
    choice = {"locals_": Conditional(FullRank()), "inference": Polynomial(1)}
    exact = fit(bound, key=KEY, globals_=FullRank(), **choice)
    fitted = fit(bound, key=KEY, globals_=Mixture(2), **choice)
    best, found = (f.elbo(key=KEY, draws=1000).mean for f in (exact, fitted))
    assert abs(found - best) < 0.01
    np.testing.assert_allclose(fitted.local_moments()[1], exact.local_moments()[1], rtol=0.01)
