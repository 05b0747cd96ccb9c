"""The posteriors' densities are those of their formulas; errors are of the right parameters.

Densities are compared between two points each, on the constrained scale, so that what is constant
there, as the mass of a truncated prior or of a flat one, is left out of the formulas.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density
from posteriordb.errors import column, errors
from posteriordb.models import NAMES, model
from posteriordb.models.sensitivities import with_sensitivities
from posteriordb.read import Posterior, read
from scipy import stats
from scipy.integrate import solve_ivp

Sites = dict[str, Any]
RNG = np.random.default_rng(20240731)


@dataclasses.dataclass(frozen=True)
class Case:
    """Data of a posterior, two points, and the log density up to a constant."""

    data: Sites
    points: tuple[Sites, Sites]
    formula: Callable[[Sites, Sites], float]


def eight_schools(p: Sites, d: Sites) -> float:
    prior = normal(p["theta_trans"], 0, 1) + normal(p["mu"], 0, 5) + cauchy(p["tau"], 5)
    return prior + normal(d["y"], p["mu"] + p["tau"] * p["theta_trans"], d["sigma"])


def kidscore(p: Sites, d: Sites) -> float:
    one, two, three, four = p["beta"]
    mean = one + two * d["mom_hs"] + three * d["mom_iq"] + four * d["mom_hs"] * d["mom_iq"]
    return cauchy(p["sigma"], 2.5) + normal(d["kid_score"], mean, p["sigma"])


def logearn(p: Sites, d: Sites) -> float:
    one, two, three, four = p["beta"]
    mean = one + two * d["height"] + three * d["male"] + four * d["height"] * d["male"]
    return normal(np.log(d["earn"]), mean, p["sigma"])


def nes(p: Sites, d: Sites) -> float:
    b, age = p["beta"], d["age_discrete"]
    mean = b[0] + b[1] * d["real_ideo"] + b[2] * d["race_adj"]
    mean = mean + b[3] * (age == 2) + b[4] * (age == 3) + b[5] * (age == 4)
    mean = mean + b[6] * d["educ1"] + b[7] * d["gender"] + b[8] * d["income"]
    return normal(d["partyid7"], mean, p["sigma"])


def garch11(p: Sites, d: Sites) -> float:
    total, variance = 0.0, d["sigma1"] ** 2
    for t, value in enumerate(d["y"]):
        if t > 0:
            residual = d["y"][t - 1] - p["mu"]
            variance = p["alpha0"] + p["alpha1"] * residual**2 + p["beta1"] * variance
        total += normal(value, p["mu"], np.sqrt(variance))
    return total


def ar5(p: Sites, d: Sites) -> float:
    total = normal(p["alpha"], 0, 10) + normal(p["beta"], 0, 10) + cauchy(p["sigma"], 2.5)
    for t in range(5, len(d["y"])):
        mean = p["alpha"] + sum(p["beta"][k] * d["y"][t - 1 - k] for k in range(5))
        total += normal(d["y"][t], mean, p["sigma"])
    return total


def blr(p: Sites, d: Sites) -> float:
    prior = normal(p["beta"], 0, 10) + normal(p["sigma"], 0, 10)
    return prior + normal(d["y"], d["X"] @ p["beta"], p["sigma"])


def diamonds(p: Sites, d: Sites) -> float:
    design = d["X"][:, 1:] - d["X"][:, 1:].mean(0)
    student = stats.t.logpdf(p["Intercept"], 3, 8, 10) + stats.t.logpdf(p["sigma"], 3, 0, 10)
    mean = p["Intercept"] + design @ p["b"]
    return normal(p["b"], 0, 1) + student + normal(d["Y"], mean, p["sigma"])


def mixture(p: Sites, d: Sites) -> float:
    prior = normal(p["mu"], 0, 2) + normal(p["sigma"], 0, 2) + stats.beta.logpdf(p["theta"], 5, 5)
    one, two = (stats.norm.pdf(d["y"], p["mu"][k], p["sigma"][k]) for k in range(2))
    return prior + np.log(p["theta"] * one + (1 - p["theta"]) * two).sum()


def gaussian_process(p: Sites, d: Sites) -> float:
    prior = stats.gamma.logpdf(p["rho"], 25, scale=0.25) + normal(p["alpha"], 0, 2)
    squares = np.square(np.subtract.outer(d["x"], d["x"]))
    kernel = p["alpha"] ** 2 * np.exp(-0.5 * squares / p["rho"] ** 2)
    covariance = kernel + p["sigma"] * np.eye(len(d["x"]))
    density = stats.multivariate_normal.logpdf(d["y"], np.zeros(len(d["x"])), covariance)
    return prior + normal(p["sigma"], 0, 1) + density


def lotka_volterra(p: Sites, d: Sites) -> float:
    a, b, c, e = p["theta"]
    u, v = solved(lambda t, z: [(a - b * z[1]) * z[0], (-c + e * z[0]) * z[1]], p["z_init"], YEARS)
    prior = normal(p["theta"], [1, 0.05, 1, 0.05], [0.5, 0.05, 0.5, 0.05])
    prior += lognormal(p["sigma"], -1, 1) + lognormal(p["z_init"], np.log(10), 1)
    first = lognormal(d["y_init"], np.log(p["z_init"]), p["sigma"])
    return prior + first + lognormal(d["y"], np.log(np.stack([u, v], axis=1)), p["sigma"])


def one_compartment(p: Sites, d: Sites) -> float:
    def change(t: float, c: np.ndarray) -> np.ndarray:
        dose = d["D"] * p["k_a"] * np.exp(-p["k_a"] * t) / d["V"]
        return dose - p["V_m"] / d["V"] * c / (p["K_m"] + c)

    (concentration,) = solved(change, [0.0], d["times"])
    prior = sum(cauchy(p[name], 1) for name in ("k_a", "K_m", "V_m", "sigma"))
    return prior + lognormal(d["C_hat"], np.log(concentration), p["sigma"])


def normal(x: Any, mean: Any, sd: Any) -> float:
    return float(stats.norm.logpdf(x, mean, sd).sum())


def lognormal(x: Any, mean: Any, sd: Any) -> float:
    return float(np.sum(stats.norm.logpdf(np.log(x), mean, sd) - np.log(x)))


def cauchy(x: Any, scale: float) -> float:
    return float(stats.cauchy.logpdf(x, 0, scale))


def solved(change: Callable[..., Any], start: Any, times: np.ndarray) -> np.ndarray:
    """An implicit solver, where the models have explicit ones."""
    span = (0.0, times[-1])
    return solve_ivp(change, span, start, "Radau", times, rtol=1e-9, atol=1e-10).y


def uniform(*shape: int) -> np.ndarray:
    return RNG.uniform(0.5, 2.0, shape)


def answers(count: int, levels: int) -> np.ndarray:
    return RNG.integers(1, levels + 1, count).astype(float)


def points(**shapes: tuple[int, ...]) -> tuple[Sites, Sites]:
    """Positive values everywhere, that suit any site but those of bounded support."""
    first, second = ({name: uniform(*shape) for name, shape in shapes.items()} for _ in range(2))
    return first, second


YEARS = np.arange(1.0, 11.0)
CASES = {
    "eight_schools_noncentered": Case(
        {"y": 5 * uniform(4), "sigma": 3 * uniform(4)},
        points(theta_trans=(4,), mu=(), tau=()),
        eight_schools,
    ),
    "kidscore_interaction": Case(
        {"kid_score": uniform(6), "mom_hs": answers(6, 2) - 1, "mom_iq": uniform(6)},
        points(beta=(4,), sigma=()),
        kidscore,
    ),
    "logearn_interaction": Case(
        {"earn": 9 * uniform(6), "height": uniform(6), "male": answers(6, 2) - 1},
        points(beta=(4,), sigma=()),
        logearn,
    ),
    "nes": Case(
        {
            "partyid7": answers(12, 7),
            "real_ideo": answers(12, 7),
            "race_adj": answers(12, 2),
            "age_discrete": np.resize([1.0, 2.0, 3.0, 4.0], 12),
            "educ1": answers(12, 4),
            "gender": answers(12, 2),
            "income": answers(12, 5),
        },
        points(beta=(9,), sigma=()),
        nes,
    ),
    "garch11": Case(
        {"y": 4 * uniform(9), "sigma1": np.array(0.5)},
        (
            {"mu": 5.0, "alpha0": 1.5, "alpha1": 0.6, "beta1": 0.3},
            {"mu": 4.0, "alpha0": 0.7, "alpha1": 0.2, "beta1": 0.1},
        ),
        garch11,
    ),
    "arK": Case({"y": uniform(9)}, points(alpha=(), beta=(5,), sigma=()), ar5),
    "blr": Case({"X": uniform(6, 3), "y": uniform(6)}, points(beta=(3,), sigma=()), blr),
    "diamonds": Case(
        {"X": uniform(6, 4), "Y": 5 * uniform(6)}, points(b=(3,), Intercept=(), sigma=()), diamonds
    ),
    "low_dim_gauss_mix": Case(
        {"y": 3 * uniform(8) - 4},
        (
            {"mu": np.array([-2.0, 1.5]), "sigma": uniform(2), "theta": 0.6},
            {"mu": np.array([0.3, 0.4]), "sigma": uniform(2), "theta": 0.2},
        ),
        mixture,
    ),
    "gp_regr": Case(
        {"x": np.arange(-5.0, 6.0, 2.0), "y": 2 * uniform(6)},
        points(rho=(), alpha=(), sigma=()),
        gaussian_process,
    ),
    "lotka_volterra": Case(
        {"y_init": 20 * uniform(2), "y": 20 * uniform(10, 2)},
        (
            {
                "theta": np.array([0.55, 0.028, 0.8, 0.024]),
                "sigma": np.array([0.25, 0.3]),
                "z_init": np.array([33.0, 6.0]),
            },
            {
                "theta": np.array([0.9, 0.05, 0.6, 0.04]),
                "sigma": np.array([0.4, 0.2]),
                "z_init": np.array([20.0, 12.0]),
            },
        ),
        lotka_volterra,
    ),
    "one_comp_mm_elim_abs": Case(
        {
            "D": np.array(30.0),
            "V": np.array(2.0),
            "times": YEARS,
            "C_hat": 8 * uniform(10),
        },
        (
            {"k_a": 0.75, "K_m": 2.0, "V_m": 1.0, "sigma": 0.13},
            {"k_a": 1.3, "K_m": 0.01, "V_m": 1.6, "sigma": 0.2},
        ),
        one_compartment,
    ),
}
SOLVED = {
    "lotka_volterra": {
        "theta": np.array([200.0, 1.0, 200.0, 1.0]),
        "sigma": np.array([0.2, 0.2]),
        "z_init": np.array([30.0, 4.0]),
    },
    "one_comp_mm_elim_abs": {"k_a": 2.0, "K_m": 1e-4, "V_m": 30.0, "sigma": 0.2},
}
"""The models of differential equations, each with a point at which the solver gives up."""


def expected_difference(case: Case) -> float:
    """The formula at the first point less that at the second."""
    first, second = (case.formula(point, case.data) for point in case.points)
    return first - second


def test_every_posterior_has_a_case() -> None:
    assert set(CASES) == set(NAMES)


@pytest.mark.usefixtures("x64", "standard_promotion")
@pytest.mark.parametrize("name", NAMES)
def test_densities_are_those_of_the_formulas(name: str) -> None:
    """The solvers' tolerance of 1e-6 counts by the residuals, which are of some ten sds here."""
    if name in SOLVED:
        pytest.importorskip("diffrax")
    case, function = CASES[name], model(name)
    density = jax.jit(lambda point: log_density(function, (), case.data, point)[0])
    first, second = (
        density({site: jnp.asarray(value) for site, value in point.items()})
        for point in case.points
    )
    tolerance = 1e-4 if name in SOLVED else 1e-10
    np.testing.assert_allclose(first - second, expected_difference(case), rtol=tolerance)


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("name", SOLVED)
def test_differential_equations_in_32_bits(name: str) -> None:
    """They need no more; and where the solver gives up, gradients are numbers still."""
    pytest.importorskip("diffrax")
    case, function = CASES[name], model(name)
    density = jax.jit(jax.value_and_grad(lambda p: log_density(function, (), case.data, p)[0]))
    (first, _), (second, _), (nothing, gradient) = (
        density({site: jnp.asarray(value) for site, value in point.items()})
        for point in (*case.points, SOLVED[name])
    )
    np.testing.assert_allclose(first - second, expected_difference(case), rtol=1e-4)
    assert nothing == -np.inf
    assert all(np.isfinite(slopes).all() for slopes in gradient.values())


@pytest.mark.usefixtures("x64")
def test_sensitivities_are_derivatives_of_either_mode_and_of_second_order() -> None:
    def decay(parameters: jax.Array, times: jax.Array) -> jax.Array:
        return parameters[0] * jnp.exp(-parameters[1] * times)

    solve, times, point = with_sensitivities(decay), jnp.arange(3.0), jnp.array([2.0, 0.7])
    for derivative in (jax.jacfwd, jax.jacrev, jax.hessian):
        found, expected = derivative(solve)(point, times), derivative(decay)(point, times)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    with pytest.raises(NotImplementedError, match="by data"):
        jax.jacfwd(solve, argnums=1)(point, times)


def test_errors_are_in_sds_of_the_reference_and_of_the_parameters_named() -> None:
    names, mean, sd = ("beta[2]", "tau"), np.array([3.0, 1.0]), np.array([2.0, 0.5])
    posterior = Posterior("any", lambda: None, {}, names, mean, sd)
    draws = {"tau": np.array([1.0, 2.0, 3.0]), "beta": np.array([[9.0, 0.0], [9.0, 2.0], [9, 4.0]])}
    found = errors(posterior, draws)
    np.testing.assert_allclose(found.mean, [-0.5, 2.0])
    np.testing.assert_allclose(found.sd, [1.0, 2.0])
    assert (found.median_mean, found.worst_mean, found.median_sd) == (1.25, 2.0, 1.5)


def test_parameters_of_matrices_are_counted_from_one() -> None:
    draws = {"z": np.arange(12.0).reshape(2, 2, 3)}
    np.testing.assert_array_equal(column(draws, "z[1,3]"), [2.0, 8.0])
    for absent in ("z[1]", "w"):
        with pytest.raises(KeyError, match=r"expected one|draws of z"):
            column(draws, absent)


def test_a_posterior_is_read_from_the_folder_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {
        "data": {"T": 3, "y": [1, 2, 4], "sigma1": 0.5},
        "reference": {"mu": {"mean": 5, "sd": 0.1}, "alpha0": {"mean": 1.5, "sd": 0.6}},
    }
    (tmp_path / "posteriordb").mkdir()
    (tmp_path / "posteriordb" / "garch-garch11.json").write_text(json.dumps(kept))
    monkeypatch.setenv("AMORTIS_DATA", str(tmp_path))
    posterior = read("garch11")
    assert posterior.parameters == ("mu", "alpha0")
    np.testing.assert_array_equal(posterior.data["y"], [1.0, 2.0, 4.0])
    np.testing.assert_array_equal(posterior.sd, [0.1, 0.6])
    with pytest.raises(SystemExit, match="AMORTIS_DATA"):
        read("blr")
    with pytest.raises(SystemExit, match="expected one of"):
        read("radon")
