"""How a fit ends, what it returns, and what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    MLP,
    ArgumentError,
    Constant,
    ConstantRate,
    DiagonalNormal,
    Fit,
    FixedDraws,
    FreshDraws,
    Input,
    Kind,
    Point,
    Polynomial,
    Status,
    Table,
    Windowed,
    check,
    fit,
    from_density,
    from_numpyro,
)
from amortis._errors import NonFiniteDensityError
from amortis.fitting.choose import choose_inference, choose_method
from tests.exact_models import linear

KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def bound():
    exact = linear.example(24)
    return from_numpyro(linear.model, exact.x.astype(np.float32), exact.tau, exact.sigma)


@pytest.fixture(scope="module")
def curved():
    """A model whose ELBO no short rule integrates: Poisson counts of a log-linear rate."""

    def model(count):
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", count.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(3), 1.5).to_event(1))
            rate = jnp.exp(theta + z)
            numpyro.sample("count", dist.Poisson(rate).to_event(1), obs=count)

    counts = np.random.default_rng(0).poisson(3.0, size=(12, 3)).astype(np.float32)
    return from_numpyro(model, counts)


@pytest.fixture(scope="module")
def default(bound):
    return fit(bound, key=KEY)


def same(one, other):
    return jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), one, other))


def test_the_default_fit_converges_and_says_what_it_is(bound, default):
    assert default.status is Status.CONVERGED
    assert isinstance(default.guide.inference, MLP)
    assert isinstance(default.guide.global_family, DiagonalNormal)
    assert repr(default) == f"Fit(MLP with {default.parameters} parameters, 24 rows, CONVERGED)"
    assert default.parameters == 2 + (16 + 16) + (16 * 16 + 16) + 17 * 2 + 2
    assert len(default.history.seconds) == len(default.history.objective) > 0
    assert (np.diff(default.history.seconds) > 0).all()


def test_a_fit_is_frozen(default):
    with pytest.raises(dataclasses.FrozenInstanceError):
        default.status = Status.STALLED


@pytest.mark.parametrize("method", [FixedDraws(), FreshDraws(rate=0.1, iterations=100)])
def test_the_same_key_gives_the_same_fit_and_another_gives_another(bound, method):
    one, again, other = (
        fit(bound, key=jax.random.key(seed), inference=MLP(width=3, depth=1), optimiser=method)
        for seed in (0, 0, 1)
    )
    assert same(one.variational, again.variational)
    np.testing.assert_array_equal(one.history.objective, again.history.objective)
    assert one.elbo(key=KEY) == again.elbo(key=KEY)
    assert not same(one.variational, other.variational)


@pytest.mark.parametrize(
    "method", [FixedDraws(), FreshDraws(rate=0.03, batch=8)], ids=["fixed", "fresh"]
)
def test_ctrl_c_returns_the_best_state_so_far(curved, method):
    seen = []

    def monitor(progress, parameters):
        seen.append(parameters())
        if len(seen) == 2:
            raise KeyboardInterrupt

    fitted = fit(curved, key=KEY, inference=Polynomial(1), optimiser=method, monitor=monitor)
    assert fitted.status is Status.INTERRUPTED
    assert len(fitted.history.seconds) == 2
    assert same(fitted.variational, seen[-1])
    assert np.isfinite(fitted.elbo(key=KEY, draws=8).mean)


def test_draws_and_iterations_that_run_out_say_so(curved):
    few = FixedDraws(draws=15, most_draws=32, tolerance=1e-7, sd_tolerance=1e-4)
    exhausted = fit(curved, key=KEY, inference=Polynomial(1), optimiser=few)
    assert exhausted.status is Status.DRAWS_EXHAUSTED
    assert list(np.unique(exhausted.history.draws)) == [16, 32]
    short = FixedDraws(evaluations=1)
    assert fit(curved, key=KEY, optimiser=short).status is Status.ITERATIONS_EXHAUSTED
    short = FreshDraws(rate=1e-3, iterations=1)
    assert fit(curved, key=KEY, optimiser=short).status is Status.ITERATIONS_EXHAUSTED


@pytest.mark.parametrize("function", [Table(), Polynomial(2)], ids=["table", "quadratic"])
def test_growing_draws_agree_with_fresh_ones(function):
    def model(count):
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), 1.0))
        with numpyro.plate("rows", count.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.5))
            numpyro.sample("count", dist.Poisson(jnp.exp(theta + z)), obs=count)

    counts = np.random.default_rng(0).poisson(3.0, size=12).astype(np.float32)
    fitted = fit(from_numpyro(model, counts), key=KEY, inference=function)
    assert fitted.status is Status.CONVERGED
    assert len(set(fitted.history.draws)) > 1
    # What the optimiser claims is what fresh draws measure: 4 standard errors (6e-5) and slack.
    estimate = fitted.elbo(key=KEY, draws=4000)
    claimed = fitted.history.objective[-1]
    assert abs(claimed - estimate.mean) < 4 * estimate.se + 5e-3 * 12


def test_restarts_run_together_and_the_best_is_kept():
    # Modes at -2 and 2, the second slightly better; starts fall on either side.
    def log_local(theta, z, x):
        center = theta["a"] ** 2
        return -0.5 * z["z"] ** 2 - 0.5 * (x - center - z["z"]) ** 2

    model = from_density(
        lambda theta: 3.0 * theta["a"],
        log_local,
        np.full(20, 4.0, np.float32),
        globals_={"a": ()},
        locals_={"z": ()},
    )

    def choice(key, restarts=1):
        return fit(model, key=key, inference=Constant(), globals_=Point(), restarts=restarts)

    alone = [float(choice(jax.random.key(seed)).global_moments()[0][0]) for seed in range(6)]
    assert min(alone) < 0 < max(alone)
    wrong = jax.random.key(int(np.argmin(alone)))
    together = choice(wrong, restarts=8)
    assert together.status is Status.CONVERGED
    np.testing.assert_allclose(together.global_moments()[0], [2.0], atol=0.1)


@pytest.mark.parametrize("method", [FixedDraws(), FreshDraws(rate=0.3)], ids=["fixed", "fresh"])
def test_regions_where_the_density_is_not_finite_are_rolled_back(method):
    # NaN for theta beyond 1.5, next to the optimum at 1: first steps lead into it.
    def log_prior(theta):
        return jnp.where(theta["t"] > 1.5, jnp.nan, 0.0)

    model = from_density(
        log_prior,
        lambda theta, z, x: -0.5 * z["z"] ** 2 - 50.0 * (x - theta["t"] - z["z"]) ** 2,
        np.full(40, 1.0, np.float32),
        globals_={"t": ()},
        locals_={"z": ()},
    )
    fitted = fit(model, key=KEY, inference=Constant(), optimiser=method, globals_=Point())
    assert fitted.status in (Status.CONVERGED, Status.STALLED)
    np.testing.assert_allclose(fitted.global_moments()[0], [1.0], atol=0.1)
    assert np.isfinite(fitted.history.objective).all()


def test_a_density_that_is_finite_in_narrow_factors_only_is_started_narrow():
    # sqrt(1 - z^2) is NaN for draws beyond one, which a unit factor always has.
    model = from_density(
        lambda theta: -0.5 * theta["t"] ** 2,
        lambda theta, z, x: 50 * jnp.log1p(-(z["z"] ** 2)) - 0.5 * (x - z["z"] - theta["t"]) ** 2,
        np.linspace(-0.1, 0.1, 10, dtype=np.float32),
        globals_={"t": ()},
        locals_={"z": ()},
    )
    fitted = fit(model, key=KEY, inference=Constant())
    assert float(fitted.guide.offset[-1]) < 0.0
    assert fitted.status in (Status.CONVERGED, Status.STALLED)
    assert np.isfinite(fitted.history.objective).all()


@pytest.mark.parametrize("method", [FixedDraws(), FreshDraws(rate=0.1)], ids=["fixed", "fresh"])
def test_a_density_that_is_finite_at_a_point_only_is_refused(method):
    model = from_density(
        lambda theta: -0.5 * theta["t"] ** 2,
        lambda theta, z, x: jnp.where(jnp.abs(z["z"]) > 1e-6, jnp.nan, 0.0 * x),
        np.zeros(10, np.float32),
        globals_={"t": ()},
        locals_={"z": ()},
    )
    with pytest.raises(NonFiniteDensityError, match=r"not finite at any of 2 starts") as caught:
        fit(model, key=KEY, inference=Constant(), optimiser=method, restarts=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("rows", "log_sd"), [(8, 0.0), (7, -2.0)])
def test_codes_start_narrow_where_globals_outnumber_the_data(rows, log_sd):
    model = from_density(
        lambda theta: -0.5 * jnp.sum(theta["t"] ** 2),
        lambda theta, z, x: -0.5 * (z["z"] ** 2 + (x - z["z"] - theta["t"].sum()) ** 2),
        np.zeros(rows, np.float32),
        globals_={"t": (8,)},
        locals_={"z": ()},
    )
    unmoved = ConstantRate(1e-9, iterations=1)
    fitted = fit(model, key=KEY, inference=Constant(), optimiser=unmoved)
    _, sds = fitted.local_moments()
    np.testing.assert_allclose(sds, np.exp(log_sd), rtol=1e-5)


def test_a_fit_by_fixed_draws_shows_itself_after_four_evaluations(bound):
    seen = []
    fit(bound, key=KEY, inference=Table(), monitor=lambda now, current: seen.append(now))
    assert [now.iterations for now in seen[:3]] == [4, 12, 24]


def test_bad_requests_are_refused_in_one_line(bound, default):
    requests = {
        r"restarts is 0; expected at least 1": lambda: fit(bound, key=KEY, restarts=0),
        r"draws is 0; expected at least 1": lambda: default.elbo(key=KEY, draws=0),
        r"draws is -1; expected at least 1": lambda: default.posterior(key=KEY, draws=-1),
        r"locals_ is Point\(\); expected a family": lambda: fit(bound, key=KEY, locals_=Point()),
    }
    for message, call in requests.items():
        with pytest.raises(ArgumentError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_one_draw_has_no_standard_error(default):
    one = default.elbo(key=KEY, draws=1)
    assert np.isfinite(one.mean)
    assert np.isnan(one.se)
    several = default.elbo(key=KEY, draws=8)
    assert several.se > 0
    assert str(several) == f"{several.mean:.2f} ± {several.se:.2f} nats, total"
    assert {v.shape for v in default.posterior(key=KEY, draws=1).values()} == {(1,), (1, 24)}


def test_draws_in_blocks_are_as_good_as_in_one(bound, default, monkeypatch):
    monkeypatch.setattr("amortis.fitting.record.BLOCK_NUMBERS", 24 * 8)
    monkeypatch.setattr("amortis.fitting.draws.BLOCK_NUMBERS", 24 * 8)
    estimate = default.elbo(key=KEY, draws=32)
    posterior = default.posterior(key=KEY, draws=21)
    assert {name: v.shape for name, v in posterior.items()} == {"theta": (21,), "z": (21, 24)}
    assert len(np.unique(posterior["theta"])) == 21  # no block repeats another's draws
    monkeypatch.undo()
    other = default.elbo(key=jax.random.key(9), draws=400)
    assert abs(estimate.mean - other.mean) < 4 * (estimate.se + other.se)


@pytest.mark.parametrize(
    ("rows", "inference", "kind"),
    [
        (4_000_000 // 128, Table(), FixedDraws),
        (4_000_000 // 128 + 1, Table(), FreshDraws),
        (250_000, MLP(), FixedDraws),
        (250_001, MLP(), FreshDraws),
        (250_000, Constant(), FixedDraws),
        (250_001, Polynomial(), FreshDraws),
    ],
)
def test_the_method_follows_from_the_sizes(bound, rows, inference, kind):
    assert type(choose_method(dataclasses.replace(bound, size=rows), inference)) is kind


def test_wide_rows_and_many_locals_count_for_more(bound):
    wide = dataclasses.replace(bound, size=100_000, inputs=jnp.zeros((1, 784)))
    assert isinstance(choose_method(wide, MLP()), FreshDraws)
    many = dataclasses.replace(bound, size=100_000, locals_={"z": (8,)})
    assert isinstance(choose_method(many, MLP()), FreshDraws)


def test_globals_with_factors_of_their_own_ask_for_draws(bound):
    pca = dataclasses.replace(bound, size=1797, globals_={"W": (64, 8)}, locals_={"z": (8,)})
    assert isinstance(choose_method(pca, MLP(), DiagonalNormal()), FreshDraws)
    assert isinstance(choose_method(pca, MLP(), Point()), FixedDraws)


def test_the_function_follows_from_the_verdict(bound):
    verdict = check(bound)
    assert isinstance(choose_inference(bound, verdict), MLP)
    for kind in (Kind.COUPLED, Kind.HIDDEN, Kind.UNKNOWN):
        no = dataclasses.replace(verdict, kind=kind)
        assert isinstance(choose_inference(bound, no), Table)
    blind = dataclasses.replace(verdict, inputs=())
    assert isinstance(choose_inference(bound, blind), Constant)
    near = (Input("x", offsets=(-1, 0)), Input("y", offsets=(0, 2)))
    window = dataclasses.replace(verdict, kind=Kind.WINDOWED, inputs=near)
    chosen = choose_inference(bound, window)
    assert isinstance(chosen, Windowed)
    assert chosen.offsets == (-1, 0, 2)


def test_only_what_is_read_becomes_an_input(bound):
    def model(x, label):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    x = np.linspace(-1.0, 1.0, 30, dtype=np.float32)
    both = from_numpyro(model, x, np.arange(30))
    assert both.input_names == ("x", "label")
    fitted = fit(both, key=KEY)
    assert fitted.model.input_names == ("x",)
    np.testing.assert_array_equal(fitted.model.inputs[:, 0], x)


def test_a_fit_can_cross_a_jit_boundary(default):
    mean, _ = jax.jit(lambda variational: default.guide.global_moments(variational))(
        default.variational
    )
    np.testing.assert_allclose(mean, default.global_moments()[0], rtol=1e-6)
    assert isinstance(default, Fit)


@pytest.mark.parametrize("bad", [0, None, "a", 1.5])
def test_what_is_no_random_key_is_refused_in_one_line(bound, bad, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # which comes first here
    fitted = fit(bound, key=KEY, inference=Constant())
    for call in (
        lambda: fit(bound, key=bad),
        lambda: fitted.elbo(key=bad),
        lambda: fitted.posterior(key=bad),
    ):
        with pytest.raises(ArgumentError, match=r"expected one random key: pass jax\.random\.key"):
            call()
    with pytest.raises(ArgumentError, match=r"an array of \(3,\) keys"):
        fit(bound, key=jax.random.split(KEY, 3))


def test_a_monitor_that_cannot_be_called_is_refused(bound, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ArgumentError, match="monitor is 3; expected a function"):
        fit(bound, key=KEY, monitor=3)


def test_fresh_draws_take_all_units_of_a_model_that_cannot_be_cut():
    """1500 units would be cut in two, were they rows that stand alone."""

    def chain(x):
        theta = numpyro.sample("theta", dist.Normal(0.0, 1.0))
        with numpyro.plate("steps", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        before = jnp.concatenate([jnp.zeros(1, z.dtype), z[:-1]])
        with numpyro.plate("data", x.shape[0]):
            numpyro.sample("x", dist.Normal(theta + z + 0.1 * before, 1.0), obs=x)

    x = np.random.default_rng(0).normal(size=1500).astype(np.float32)
    model = from_numpyro(chain, x, local="steps")
    assert not model.separable
    few = FreshDraws(rate=0.03, iterations=200)
    fitted = fit(model, key=KEY, inference=Table(), optimiser=few)
    assert fitted.history.objective[-1] > fitted.history.objective[0]
