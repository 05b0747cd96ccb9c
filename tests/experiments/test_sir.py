import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import solve_ivp

import amortis
from amortis.cli import main
from amortis.experiments.sir import epidemic, summary_text, write_figures, write_json, write_page
from amortis.experiments.sir.bars import bars, disagreements
from amortis.experiments.sir.data import BOYS, CASES, DAYS, INFECTED
from amortis.experiments.sir.density import log_joint
from amortis.experiments.sir.epidemic import log_infected
from amortis.experiments.sir.exact import exact_sir
from amortis.experiments.sir.model import bound_sir
from amortis.experiments.sir.quantities import (
    QUANTITIES,
    Summary,
    of_draws,
    of_gaussian,
    of_weighted,
)
from amortis.experiments.sir.reference import EXACT, MEAN_FIELD, OPTIMUM
from amortis.experiments.sir.results import (
    Drawn,
    FamilyResult,
    NutsResult,
    SeedResult,
    SirResult,
)

pytest.importorskip("diffrax")

CENTER, SD = np.array([-0.616, 0.5505, -2.117]), np.array([0.084, 0.0304, 0.52])


@pytest.fixture(scope="module")
def exact():
    return exact_sir()


@pytest.fixture(scope="module")
def model():
    with jax.numpy_dtype_promotion("standard"):  # NumPyro multiplies counts with floats
        return bound_sir()


def curves(log_gamma, log_beta):
    """Log of the infected by SciPy's Runge-Kutta of eighth order, on the counts themselves."""
    gamma, beta = math.exp(log_gamma), math.exp(log_beta)

    def slope(time, y):
        caught = beta * y[0] * y[1] / BOYS
        return [-caught, caught - gamma * y[1]]

    first = [BOYS - INFECTED, INFECTED]
    tight = {"rtol": 1e-11, "atol": 1e-11, "method": "DOP853", "t_eval": DAYS}
    return np.log(solve_ivp(slope, (0, DAYS[-1]), first, **tight).y[1])


def test_the_equations_are_solved_to_a_ten_thousandth_within_six_sds():
    corners = [(a, b) for a in (-6.0, 0.0, 6.0) for b in (-6.0, 0.0, 6.0)]
    points = CENTER[:2] + np.array(corners) * SD[:2]
    expected = np.array([curves(*point) for point in points])
    found = jax.vmap(log_infected)(jnp.exp(jnp.asarray(points, jnp.float32)))
    assert np.abs(np.expm1(np.asarray(found) - expected)).max() < 1e-4


def test_sensitivities_are_those_of_differences():
    rates = np.array([0.54, 1.73])
    found = jax.jacrev(log_infected)(jnp.asarray(rates, jnp.float32))
    for i, step in enumerate(np.eye(2) * 1e-4):
        up, down = (curves(*np.log(rates + sign * step)) for sign in (1, -1))
        np.testing.assert_allclose(found[:, i], (up - down) / 2e-4, rtol=1e-3, atol=1e-3)


def test_summaries_of_nodes_are_those_of_a_lognormal():
    nodes = np.linspace(0.3 - 7 * 0.5, 0.3 + 7 * 0.5, 85)
    weights = stats.norm(0.3, 0.5).pdf(nodes) * (nodes[1] - nodes[0])
    expected = of_gaussian(np.array([0.3, 0.0, 0.0]), np.diag([0.25, 1.0, 1.0]))["gamma"]
    found = of_weighted(np.exp(nodes)[::-1], weights[::-1])
    np.testing.assert_allclose(
        dataclasses.astuple(found), dataclasses.astuple(expected), atol=2e-3 * expected.sd
    )


def written_out(point):
    """The log joint by SciPy's distributions."""
    gamma, beta, phi_inv = np.exp(point)
    mean, phi = np.exp(curves(*point[:2])), 1.0 / phi_inv
    return (
        stats.nbinom(phi, phi / (phi + mean)).logpmf(CASES).sum()
        + stats.truncnorm(-0.4 / 0.5, np.inf, 0.4, 0.5).logpdf(gamma)
        + stats.truncnorm(-2.0, np.inf, 2.0, 1.0).logpdf(beta)
        + stats.expon(scale=0.2).logpdf(phi_inv)
        + point.sum()
    )


@pytest.mark.usefixtures("standard_promotion")
def test_the_log_density_is_that_of_the_formula(model):
    generator = np.random.default_rng(3)
    points = CENTER + 3.0 * SD * generator.uniform(-1.0, 1.0, (6, 3))
    log_density = jax.jit(lambda u: model.log_joint(by_site(u), model.zeros(model.size)))
    for point in points:
        expected = written_out(point)
        by_grid = log_joint(*(np.array([value]) for value in point))
        np.testing.assert_allclose(by_grid.item(), expected, atol=1e-6)
        np.testing.assert_allclose(
            log_density(jnp.asarray(point, jnp.float32)), expected, atol=2e-3
        )


def by_site(u):
    return dict(zip(("gamma", "beta", "phi_inv"), u, strict=True))


def test_quadrature_finds_the_reference(exact):
    assert exact.weights.sum() == pytest.approx(1.0, abs=1e-9)
    for name in QUANTITIES:
        found, expected = exact.summaries[name], EXACT.summaries[name]
        assert found.mean == pytest.approx(expected.mean, abs=5.1e-4)
        assert found.sd == pytest.approx(expected.sd, abs=6e-4)
        # The printed quantiles are those of a coarse grid.
        assert found.q5 == pytest.approx(expected.q5, abs=0.05 * expected.sd)
        assert found.q95 == pytest.approx(expected.q95, abs=0.05 * expected.sd)
    best = exact.mean_field()
    np.testing.assert_allclose(best.mean, OPTIMUM.mean, atol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.diag(best.covariance)), OPTIMUM.sd, rtol=1e-3)
    assert best.kl == pytest.approx(OPTIMUM.kl, abs=1e-4)
    assert exact.full_rank().kl == pytest.approx(OPTIMUM.full_rank_kl, abs=1e-4)
    assert disagreements(of_gaussian(best.mean, best.covariance), MEAN_FIELD.summaries) == []


def test_summaries_of_draws_are_those_of_a_lognormal():
    mean, covariance = np.array([0.1, -0.2, 0.3]), np.diag([0.04, 0.01, 0.09])
    expected = of_gaussian(mean, covariance)
    draws = np.random.default_rng(0).normal(size=(400_000, 3)) * np.sqrt(np.diag(covariance)) + mean
    gamma, beta, phi_inv = np.exp(draws).T
    values = {"gamma": gamma, "beta": beta, "phi_inv": phi_inv, "T": 1 / gamma, "R0": beta / gamma}
    for name, found in of_draws(values).items():
        # Of 400 000 draws; the widest standard error, of a quantile, is 0.0033 of the sd.
        difference = np.subtract(dataclasses.astuple(found), dataclasses.astuple(expected[name]))
        assert np.abs(difference).max() < 5 * 0.0033 * expected[name].sd


@pytest.mark.usefixtures("standard_promotion")
def test_a_mean_field_fit_finds_the_optimum(model, exact):
    fit = amortis.fit(model, key=jax.random.key(0))
    assert fit.status is amortis.Status.CONVERGED
    mean, sd = (np.asarray(value, np.float64) for value in fit.global_moments())
    assert np.abs((mean - OPTIMUM.mean) / OPTIMUM.sd).max() < 0.02
    assert np.abs(sd / OPTIMUM.sd - 1.0).max() < 0.01
    assert exact.kl(mean, np.diag(np.square(sd))) == pytest.approx(OPTIMUM.kl, abs=3e-3)


@pytest.mark.usefixtures("standard_promotion")
def test_where_the_solver_fails_the_density_is_zero_and_gradients_are_finite(model, monkeypatch):
    monkeypatch.setattr(epidemic, "MOST_STEPS", 18)
    jax.clear_caches()
    try:
        # An epidemic takes more steps than that, none takes fewer.
        points = np.array([CENTER, [0.5, -2.0, -2.1], CENTER], np.float32)

        @jax.jit
        def look(u):
            log_density = lambda u: model.log_joint(by_site(u), model.zeros(model.size))  # noqa: E731
            solved = model.constrain(by_site(u), model.zeros(model.size))["solved"]
            return *jax.value_and_grad(log_density)(u), solved

        values, slopes, solved = jax.vmap(look)(points)
        rates = jnp.exp(points[:, :2])
        np.testing.assert_array_equal(np.isinf(jax.vmap(log_infected)(rates)[:, 0]), solved == 0.0)
    finally:
        monkeypatch.undo()
        jax.clear_caches()
    np.testing.assert_array_equal(solved, [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(np.isneginf(values), [True, False, True])
    assert np.isfinite(values[1])
    assert np.isfinite(slopes).all()


def made_up(exact, unsolved):
    nodes = tuple(tuple(float(v) for v in axis) for axis in exact.axes)
    density = tuple(tuple(float(v) for v in exact.marginal(i)) for i in range(3))
    family = FamilyResult(
        "mean-field", MEAN_FIELD.summaries, 0.135, 0.001, 0.6, 15.0, 0.2, unsolved, 100, "CONVERGED"
    )
    errors = {name: 0.02 * exact.summaries[name].sd for name in QUANTITIES}
    nuts = NutsResult(exact.summaries, errors, errors, 1.0, 0, 20.0, 0, 2000)
    band = tuple(tuple(float(f * y) for y in CASES) for f in (0.5, 1.0, 2.0))
    drawn = Drawn({"mean-field": band}, nodes, {"exact": density, "mean-field": density})
    seeds = (SeedResult(0, 0.01, 0.005, 0.136, 0.2, "CONVERGED"),)
    return SirResult(exact.summaries, exact.evidence, (family,), nuts, seeds, drawn)


def test_bars_and_files(exact, tmp_path):
    pytest.importorskip("matplotlib")
    result = made_up(exact, 0)
    assert all(bar.holds for bar in bars(result))
    short = dataclasses.replace(result, seeds=(SeedResult(0, 0.03, 0.005, 0.136, 0.2, ""),))
    assert [bar.what for bar in bars(short) if not bar.holds] == ["mean-field, means of logarithms"]
    pictures = write_figures(result, tmp_path)
    write_page(result, tmp_path / "sir.md", pictures)
    write_json(result, tmp_path / "sir.json")
    page = (tmp_path / "sir.md").read_text(encoding="utf8")
    assert "table 1, ADVI as printed\n\nDiffers: mean of beta by -0.32 sd" in page
    assert json.loads((tmp_path / "sir.json").read_text())["families"][0]["kl"] == 0.135
    assert all(f"]({picture.name})" in page and picture.is_file() for picture in pictures)


def test_draws_without_a_solution_are_counted(exact):
    result = made_up(exact, 3)
    wrong = [bar for bar in bars(result) if not bar.holds]
    assert [(bar.what, bar.measured) for bar in wrong] == [
        ("draws without a solution", "3 of 2100")
    ]
    assert "3 of 100" in summary_text(result)


def test_disagreements_are_in_words():
    found = {name: Summary(1.0, 0.1, 0.8, 1.2) for name in QUANTITIES}
    other = found | {"T": Summary(1.05, 0.1, math.nan, math.nan), "R0": Summary(1.0, 0.2, 0.8, 1.2)}
    assert disagreements(found, other) == ["mean of T by -0.50 sd", "sd of R0 by -50 %"]


def test_options_that_mean_nothing_are_refused(tmp_path, capsys):
    assert main(["reproduce", "SIR", "--as", "code", "--out", str(tmp_path)]) == 2
    assert "--as is given beside the experiment 'sir'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_the_command_writes_its_files(tmp_path, capsys):
    assert main(["reproduce", "sir", "--seeds", "2", "--out", str(tmp_path)]) == 0
    files = {path.name for path in (tmp_path / "sir").iterdir()}
    assert files == {"sir.json", "sir.md", "sir-densities.png", "sir-predictive.png"}
    assert "draws without a solution" in capsys.readouterr().out
