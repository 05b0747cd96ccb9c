"""Choices of factors that cannot be: one line, of what came, what was expected, and a remedy."""

import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.stats

import amortis
from amortis import (
    ArgumentError,
    BatchAndMatch,
    Conditional,
    CouplingLayers,
    DiagonalNormal,
    Finding,
    FixedDraws,
    Flow,
    FreshDraws,
    FullRank,
    Laplace,
    LowRank,
    Mixture,
    Point,
    Status,
    diagnose,
    fit,
    from_density,
    from_numpyro,
)
from amortis._errors import NonFiniteDensityError, NotAnOptimumError

KEY = jax.random.key(0)
X = np.linspace(-1.0, 1.0, 12).astype(np.float32)


def of_globals(log_density, d):
    return from_density(
        lambda theta: log_density(theta["u"]),
        lambda theta, z, row: jnp.zeros(()),
        jnp.zeros(1),
        globals_={"u": (d,)},
        locals_={},
    )


def normal(u):
    return -0.5 * jnp.sum(jnp.square(u))


@pytest.fixture(scope="module")
def ten():
    return of_globals(normal, 10)


@pytest.fixture(scope="module")
def with_locals():
    def model(x):
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(2), 10.0).to_event(1))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(theta[0], 1.0))
            numpyro.sample("x", dist.Normal(z + theta[1], 1.0), obs=x)

    return from_numpyro(model, X)


def refused(message, make, error=ArgumentError):
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value) and "expected" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("family", [FullRank(), LowRank(2), Mixture(2), Flow()])
def test_too_few_fixed_draws_for_what_ties_the_globals(ten, family):
    line = refused(
        r"FixedDraws\(draws=8\) is for 10 globals .*; expected at least 32 draws",
        lambda: fit(ten, key=KEY, globals_=family, optimiser=FixedDraws(draws=8)),
    )
    assert "leave draws out, or use FreshDraws()" in line


def test_enough_fixed_draws_are_taken(ten):
    fitted = fit(ten, key=KEY, globals_=FullRank(), optimiser=FixedDraws(draws=32))
    np.testing.assert_allclose(fitted.global_moments()[1], 1.0, rtol=0.01)


def test_a_rank_above_the_dimension(ten):
    refused(
        r"LowRank\(rank=11\) is for 10 dimensions; expected a rank of at most 10",
        lambda: fit(ten, key=KEY, globals_=LowRank(11)),
    )
    assert fit(ten, key=KEY, globals_=LowRank(10)).status is Status.CONVERGED


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixture(0), "Mixture components is 0"),
        (lambda: Mixture(2.5), r"Mixture components is 2\.5"),
        (lambda: LowRank(0), "LowRank rank is 0"),
        (lambda: LowRank(True), "LowRank rank is True"),
        (lambda: Flow("coupling"), "Flow layers is 'coupling'"),
        (lambda: Flow(CouplingLayers), "Flow layers is the class CouplingLayers"),
        (lambda: CouplingLayers(layers=0), "CouplingLayers layers is 0"),
        (lambda: CouplingLayers(transformer=amortis.Affine), "is the class Affine"),
        (lambda: Conditional(DiagonalNormal), "Conditional given is the class DiagonalNormal"),
        (lambda: Conditional("normal"), "Conditional given is 'normal'"),
        (lambda: Laplace(evaluations=0), "Laplace evaluations is 0"),
        (lambda: amortis.Pathfinder(paths=0), "Pathfinder paths is 0"),
        (lambda: amortis.Pathfinder(draws=1.5), r"Pathfinder draws is 1\.5"),
        (lambda: amortis.BatchAndMatch(iterations=0), "BatchAndMatch iterations is 0"),
        (lambda: amortis.BatchAndMatch(batch=0), "BatchAndMatch batch is 0"),
    ],
)
def test_numbers_and_parts_of_a_family(make, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ArgumentError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value) and "; expected" in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"globals_": "FullRank"}, "globals_ is 'FullRank'; expected an object"),
        ({"globals_": FullRank}, "globals_ is the class FullRank; expected an object"),
        ({"globals_": Laplace}, "globals_ is the class Laplace; expected an object"),
        ({"locals_": "Conditional"}, "locals_ is 'Conditional'; expected an object"),
        ({"locals_": Conditional}, "locals_ is the class Conditional; expected an object"),
        ({"locals_": Laplace()}, r"locals_ is Laplace\(\); expected an object"),
        ({"locals_": Point()}, r"locals_ is Point\(\); expected a family with a density"),
        ({"locals_": Conditional(Point())}, "expected a family with a density"),
        ({"globals_": Laplace()}, r"globals_ is Laplace\(...\), .* but z are local; expected"),
        ({"globals_": amortis.Pathfinder()}, r"globals_ is Pathfinder\(...\), .*z are local"),
        ({"globals_": amortis.BatchAndMatch()}, r"globals_ is BatchAndMatch\(...\), .*z are local"),
    ],
)
def test_what_is_no_choice_for_globals_or_locals(with_locals, choice, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # which comes first here
    refused(message, lambda: fit(with_locals, key=KEY, **choice))


@pytest.mark.parametrize(
    "given",
    [{"gradient": amortis.ClosedFormEntropy()}, {"monitor": print}, {"restarts": 2}],
    ids=str,
)
def test_what_laplace_would_ignore(ten, given):
    refused(
        r"Laplace\(...\), which finds q in its own way; expected no .*: leave them out",
        lambda: fit(ten, key=KEY, globals_=Laplace(), **given),
    )


@pytest.mark.parametrize(
    "log_density",
    [lambda u: -0.5 * u[0] ** 2, lambda u: -0.5 * (u[0] + u[1]) ** 2],
    ids=["flat", "ridge"],
)
def test_laplace_of_an_improper_posterior(log_density):
    refused(
        "does not curve down in every direction at its mode .* singular; expected a proper",
        lambda: fit(of_globals(log_density, 2), key=KEY, globals_=Laplace()),
        NotAnOptimumError,
    )


def test_a_mode_so_flat_that_its_curvature_says_nothing():
    model = of_globals(lambda u: -jnp.sum(u**4), 2)
    refused(
        "so flat at its mode that .* not by half a nat, .*; expected a mode like a normal's",
        lambda: fit(model, key=KEY, globals_=Laplace()),
        NotAnOptimumError,
    )
    # Batch and match needs no curvature to start from: its fixed point has E[16 u^6] = 1 / s^2.
    _, sds = fit(model, key=KEY, globals_=BatchAndMatch()).global_moments()
    np.testing.assert_allclose(sds, 240.0**-0.125, rtol=0.05)


def half(u):
    """A Gaussian around (1, 1), and nothing where the first coordinate is negative."""
    return jnp.where(u[0] > 0.0, -0.5 * jnp.sum(jnp.square(u - 1.0)), -jnp.inf)


@pytest.mark.parametrize("family", [None, FullRank()])
def test_half_of_the_space_without_density(family):
    """No normal has a finite ELBO there: a fit on draws that stay comes to none, and says it."""
    fitted = fit(of_globals(half, 2), key=KEY, globals_=family)
    assert fitted.status is not Status.CONVERGED
    found = diagnose(fitted, key=KEY)
    assert found.finding is Finding.UNFINISHED
    mean, sd = (float(part[0]) for part in fitted.global_moments())
    assert abs(found.outside - scipy.stats.norm.cdf(-mean / sd)) < 0.015  # 4000 draws
    assert re.search(r"the log joint is not finite at [0-9.]+ % of the draws of q", str(found))


def test_no_density_anywhere_is_refused_by_laplace():
    model = of_globals(normal, 2)
    nowhere = lambda u: jnp.where(u[0] > 90.0, 0.0, -jnp.inf)  # noqa: E731
    refused(
        "not finite at any of 8 starts around",
        lambda: Laplace().find(nowhere, 2, key=KEY),
        NonFiniteDensityError,
    )
    assert fit(model, key=KEY, globals_=Laplace()).status is Status.CONVERGED


@pytest.mark.slow
def test_a_flow_that_diverges_is_no_worse_than_where_it_started(ten):
    flow = Flow(CouplingLayers(layers=2, width=4))
    fitted = fit(ten, key=KEY, globals_=flow, optimiser=FreshDraws(rate=1e3))
    assert fitted.status is not Status.CONVERGED
    # The full-rank normal that it starts from is the posterior, of evidence 5 log(2 pi).
    shortfall = 5 * np.log(2 * np.pi) - fitted.elbo(key=KEY, draws=512).mean
    assert abs(shortfall) < 0.01


def test_draws_of_a_mixture_are_not_differentiated():
    refused(
        r"differentiates draws of the globals, and those of Mixture\(...\) jump",
        lambda: fit(
            of_globals(normal, 2),
            key=KEY,
            globals_=Mixture(2),
            objective=amortis.ImportanceWeighted(),
        ),
    )


def test_a_point_is_the_constrained_mode_by_every_bound():
    """The posterior of the rate is Gamma(6, 3.5), whose mode is 5 / 3.5."""

    def model(y):
        rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
        with numpyro.plate("rows", y.shape[0]):
            numpyro.sample("y", dist.Exponential(rate), obs=y)

    y = np.asarray([0.5, 0.25, 0.75, 1.0], np.float32)
    bound = from_numpyro(model, y, local=amortis.Locals.NONE)
    for objective in (None, amortis.ImportanceWeighted(4)):
        fitted = fit(bound, key=KEY, globals_=Point(), objective=objective)
        mean, _ = fitted.global_moments()
        np.testing.assert_allclose(mean, np.log(5.0 / 3.5), atol=0.01)
