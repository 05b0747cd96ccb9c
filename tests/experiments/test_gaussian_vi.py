import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from amortis.cli import main
from amortis.experiments.gaussian_vi import stochastic
from amortis.experiments.gaussian_vi.gaussian import correlated_gaussian, random_gaussian
from amortis.experiments.gaussian_vi.gaussian_target import (
    JUDGED,
    TargetSize,
    rows_of,
    run_gaussian_target,
)
from amortis.experiments.gaussian_vi.location_fit import BASES, T_DEGREES, located
from amortis.experiments.gaussian_vi.problems import (
    DIMENSION,
    gaussian_problem,
    logistic_elbo,
    logistic_problem,
)
from amortis.experiments.gaussian_vi.schedules import Schedule, marks
from amortis.experiments.gaussian_vi.shapes import shapes, student
from amortis.experiments.gaussian_vi.stochastic import (
    SHORT,
    StochasticRow,
    Trace,
    run_stochastic,
)
from amortis.experiments.gaussian_vi.symmetry import LIBRARY, SymmetrySize, run_symmetry
from amortis.experiments.sheet import plain

SHAPES = {shape.name: shape for shape in shapes()}


def kl_between_normals(m0, s0, m1, s1) -> float:
    """KL(N(m0, s0) || N(m1, s1)) with whole covariances, as in a textbook."""
    inverse, shift = np.linalg.inv(s1), m1 - m0
    log_dets = np.linalg.slogdet(s1)[1] - np.linalg.slogdet(s0)[1]
    return 0.5 * (np.trace(inverse @ s0) + shift @ inverse @ shift - len(m0) + log_dets)


@pytest.mark.parametrize("condition", [1e1, 1e3])
def test_the_closed_forms_are_those_of_a_search_over_factorized_gaussians(condition) -> None:
    target = random_gaussian(3, condition, seed=1)
    covariance = np.linalg.inv(target.precision)

    def kl(point):
        return kl_between_normals(
            point[:3], np.diag(np.exp(2 * point[3:])), target.mean, covariance
        )

    found = optimize.minimize(kl, np.zeros(6), method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(found.x[:3], target.mean, rtol=0, atol=1e-3)
    np.testing.assert_allclose(np.exp(found.x[3:]), target.factorized_sds, rtol=1e-4)
    assert found.fun == pytest.approx(target.factorized_kl, abs=1e-6)


def test_kl_entropy_and_sds_agree_with_whole_matrices() -> None:
    target = random_gaussian(4, 1e2, seed=3)
    covariance, sds = np.linalg.inv(target.precision), np.array([0.1, 0.5, 1.0, 2.0])
    mean = target.mean + 0.3
    want = kl_between_normals(mean, np.diag(sds**2), target.mean, covariance)
    assert target.kl_of_factorized(mean, sds) == pytest.approx(want, rel=1e-12)
    np.testing.assert_allclose(target.sds, np.sqrt(np.diagonal(covariance)), rtol=1e-12)
    normal = stats.multivariate_normal(target.mean, covariance)
    assert target.entropy == pytest.approx(normal.entropy(), rel=1e-12)
    factorized = stats.multivariate_normal(target.mean, np.diag(target.factorized_sds**2))
    assert target.factorized_kl == pytest.approx(normal.entropy() - factorized.entropy(), abs=1e-9)
    assert np.linalg.cond(target.precision) == pytest.approx(1e2, rel=1e-4)
    density = float(target.model().log_joint({"u": jnp.asarray(mean, jnp.float32)}, {}))
    assert density == pytest.approx(normal.logpdf(mean), rel=1e-5)


def test_neighbors_are_correlated_as_asked() -> None:
    target = correlated_gaussian(4, 0.5, (0.3, 3.0))
    np.testing.assert_allclose(target.sds, np.geomspace(0.3, 3.0, 4), rtol=1e-5)
    between = np.linalg.inv(target.precision) / np.outer(target.sds, target.sds)
    want = 0.5 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    np.testing.assert_allclose(between, want, atol=1e-5)


def test_gaussian_targets_meet_their_bars(key) -> None:
    size = TargetSize(dimensions=(3,), conditions=(1e3,), most_beside=0)
    result = run_gaussian_target(size, key=key, tell=lambda line: None)
    for method in JUDGED:
        assert all(row.meets_bar for row in rows_of(result, method)), method
    for row in rows_of(result, "mean-field"):
        assert row.kl == pytest.approx(row.expected_kl, abs=1e-4)
        target = random_gaussian(row.dimension, 1e3, seed=row.dimension)
        share = np.exp(np.log(target.factorized_sds / target.sds).mean())
        assert row.sd_share == pytest.approx(share, rel=1e-3)
        assert row.sd_share < 0.5


@pytest.mark.parametrize("name", [s.name for s in shapes() if len(s.mean) == 1])
def test_targets_are_normalized_and_have_their_moments(name) -> None:
    shape = SHAPES[name]
    (mean,), (spread,) = shape.mean, shape.spread
    with jax.enable_x64(True):
        density = jax.jit(lambda x: jnp.exp(shape.log_density(x[None])))

        def power(k):
            ends = [(-np.inf, mean - spread), (mean - spread, mean), (mean, mean + spread)]
            return sum(
                integrate.quad(lambda x: x**k * float(density(x)), *end, epsabs=1e-8, limit=200)[0]
                for end in [*ends, (mean + spread, np.inf)]
            )

        assert power(0) == pytest.approx(1.0, abs=1e-6)
        if name not in ("Cauchy", "Student t, 3"):  # no moments, or tails too slow to integrate
            assert power(1) == pytest.approx(mean, abs=1e-5)
            assert power(2) - power(1) ** 2 == pytest.approx(spread**2, rel=1e-5)


def test_densities_are_those_of_scipy() -> None:
    r = np.linspace(-3.0, 3.0, 7)
    np.testing.assert_allclose(student(jnp.asarray(r), 3.0), stats.t(3).logpdf(r), rtol=1e-4)
    shape, u = SHAPES["Student t, 5, in 2-d"], np.array([0.3, 1.2])
    scale = np.array([[1.0, 1.4], [1.4, 4.0]])
    want = stats.multivariate_t(shape.mean, scale, df=5).logpdf(u)
    assert float(shape.log_density(jnp.asarray(u, jnp.float32))) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("base", BASES)
def test_quadrature_finds_what_adaptive_integration_finds(base) -> None:
    """KL from a standard normal: ½ log 2πe^(…) in closed form, from the moments of the base."""
    (found,) = located(SHAPES["Gaussian"], base, [(0.0,)])
    frozen = {"Gaussian": stats.norm(), "Laplace": stats.laplace(), "Student t": stats.t(T_DEGREES)}
    variance = float(frozen[base].var())
    # E[(s t)^2] / 2 - log s is least at s^2 = 1 / var t.
    want = 0.5 + 0.5 * math.log(2 * math.pi) + 0.5 * math.log(variance) - frozen[base].entropy()
    assert found.scale[0] == pytest.approx(variance**-0.5, rel=1e-6)
    assert found.kl == pytest.approx(want, abs=1e-7)
    assert found.location[0] == pytest.approx(SHAPES["Gaussian"].mean[0], abs=1e-7)


def test_a_normal_q_of_log_gamma_is_the_closed_form() -> None:
    """E[k u - exp u] + H is stationary at s^2 = 1 / k, v = log k - s^2 / 2."""
    (found,) = located(SHAPES["log-gamma"], "Gaussian", [(0.0,)])
    k = 0.5
    assert found.scale[0] ** 2 == pytest.approx(1 / k, rel=1e-6)
    assert found.location[0] == pytest.approx(math.log(k) - 0.5 / k, abs=1e-6)
    assert found.location[0] - special.digamma(k) > 0.2
    assert located(SHAPES["log-gamma"], "Student t", [(0.0,)]) == ()


def test_the_mean_is_missed_where_the_target_is_skewed(key) -> None:
    size = SymmetrySize(targets=("uneven mixture",))
    rows = run_symmetry(size, key=key, tell=lambda line: None).rows
    assert all(row.error > 0.02 and not row.recovered for row in rows)
    ours, exact = (next(row for row in rows if row.q == q) for q in (LIBRARY, "Gaussian"))
    assert ours.scale == pytest.approx(exact.scale, rel=0.01)
    assert ours.error == pytest.approx(exact.error, abs=0.005)


def test_the_gap_of_the_logistic_regression_is_zero_at_the_best_and_positive_elsewhere() -> None:
    problem = logistic_problem()
    mean, sds = np.full(DIMENSION, 0.1), np.full(DIMENSION, 0.3)
    first, second = problem.gap(mean, sds), problem.gap(mean, 1.1 * sds)
    assert min(first, second) > 0.1
    gaussian = gaussian_problem()
    target = correlated_gaussian(DIMENSION, 0.5, (0.3, 3.0))
    assert gaussian.gap(target.mean, target.factorized_sds) == pytest.approx(0.0, abs=1e-9)


def test_the_logistic_elbo_is_that_of_many_draws() -> None:
    generator = np.random.default_rng(0)
    x, signs = generator.normal(size=(20, DIMENSION)), generator.choice([-1.0, 1.0], 20)
    mean, sds = generator.normal(size=DIMENSION), np.full(DIMENSION, 0.4)
    u = mean + sds * generator.normal(size=(40_000, DIMENSION))
    likelihood = stats.logistic.logcdf(signs * (u @ x.T)).sum(axis=1)
    values = likelihood - 0.5 * np.square(u).sum(axis=1) / 4.0
    entropy = stats.norm(0, sds).entropy().sum()
    # Five standard errors: wrong once in a million.
    error = 5 * values.std() / math.sqrt(len(values))
    assert logistic_elbo(x, signs, mean, sds) == pytest.approx(values.mean() + entropy, abs=error)


def test_schedules_are_those_of_robbins_and_monro() -> None:
    method = Schedule("half", 0.5).method(0.2, draws=3, iterations=7, block=2)
    assert (method.rate, method.draws, method.iterations, method.block) == (0.2, 3, 7, 2)
    state = method.optimizer.init({"u": jnp.zeros(2)})
    for t in range(3):
        with jax.numpy_dtype_promotion("standard"):
            step, state = method.optimizer.update({"u": jnp.ones(2)}, state)
        # rho_t = a (b + t)^-1/2 with b = 10, and a such that rho_0 is the rate, which comes after
        np.testing.assert_allclose(step["u"], math.sqrt(10 / (10 + t)), rtol=1e-6)
    assert Schedule("adam", adam=True).method(0.1, draws=1, iterations=1, block=1).optimizer is None
    assert marks(100, 10_000, 3) == [100, 1000, 10_000]


def test_arrival_is_for_good() -> None:
    trace = Trace((1, 2, 3, 4), (0.1, 0.2, 0.3, 0.4), (1.0, 0.05, 0.2, 0.01), "CONVERGED")
    assert trace.arrival == 3
    never = Trace((1,), (0.1,), (math.nan,), "DIVERGED")
    assert never.arrival is None and math.isinf(never.ending)
    row = StochasticRow("problem", "method", 1, 0.1, (trace, never))
    assert row.to_near("evaluations") == math.inf
    assert StochasticRow("problem", "method", 1, 0.1, (trace,)).to_near("seconds") == 0.4
    assert plain({"a": (1.0, math.inf), "b": [math.nan]}) == {"a": [1.0, None], "b": [None]}


def test_fixed_draws_arrive_and_robbins_monro_comes_nearer(key, monkeypatch) -> None:
    monkeypatch.setattr(stochastic, "SCHEDULES", (Schedule("Robbins-Monro", 0.75),))
    result = run_stochastic(SHORT, key=key, tell=lambda line: None)
    rows = {row.method: row for row in result.rows}
    fixed = rows["L-BFGS on fixed draws"]
    assert fixed.ending < 1e-3
    assert fixed.to_near("evaluations") < 3000
    assert all(row.traces[0].gaps[-1] < row.traces[0].gaps[0] for row in rows.values())
    assert rows["fresh draws, defaults"].ending < 1.0
    assert [row.rate for row in result.rows].count(None) == 2


def test_the_command_writes_a_page_pictures_and_numbers(tmp_path, capsys) -> None:
    out = str(tmp_path)
    assert main(["reproduce", "symmetry", "--out", out]) == 0
    printed, told = capsys.readouterr()
    assert "Where the mean is recovered" in printed and "symmetry, Cauchy" in told
    folder = tmp_path / "symmetry"
    assert {path.name for path in folder.iterdir()} == {
        "symmetry.md",
        "symmetry.json",
        "symmetry-1.png",
        "symmetry-2.png",
    }
    page = (folder / "symmetry.md").read_text(encoding="utf8")
    assert "amortis reproduce symmetry\n" in page
    assert "the center is a stationary point, but no minimum" in page
    rows = json.loads((folder / "symmetry.json").read_text(encoding="utf8"))["rows"]
    cauchy, far = ([r for r in rows if r["target"] == n] for n in ("Cauchy", "two modes, far"))
    assert len(cauchy) == len(far) == len(rows) / 3 == 4
    assert all(row["error"] < 1e-4 for row in cauchy)
    assert all(row["error"] > 0.9 for row in far)  # one mode is taken
    assert all(row["center_kl"] > row["kl"] + 1.0 for row in far if row["q"] in BASES)


def test_what_means_nothing_here_is_refused(tmp_path, capsys) -> None:
    arguments = ["reproduce", "gaussian-target", "--out", str(tmp_path)]
    assert main([*arguments, "--schedule", "ful"]) == 2
    assert "expected short or full: did you mean 'full'?" in capsys.readouterr().err
    assert main([*arguments, "--as", "paper"]) == 2
    assert "--as is given beside the experiment 'gaussian-target'" in capsys.readouterr().err


@pytest.mark.slow
def test_mean_field_and_full_rank_hold_at_every_condition(key) -> None:
    size = TargetSize(dimensions=(20,), conditions=(1e1, 1e3, 1e6), most_beside=0)
    result = run_gaussian_target(size, key=key, tell=lambda line: None)
    assert all(row.meets_bar for row in result.rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian-target", "stochastic"])
def test_the_other_commands_write_their_pages(name, tmp_path) -> None:
    assert main(["reproduce", name, "--out", str(tmp_path)]) == 0
    written = {path.suffix for path in (tmp_path / name).iterdir()}
    assert written == {".md", ".json", ".png"}
