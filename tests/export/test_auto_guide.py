"""NumPyro's own SVI, Predictive and handlers, with a guide of this library."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from numpyro import handlers, optim
from numpyro.distributions import biject_to
from numpyro.infer import SVI, Predictive, Trace_ELBO, TraceMeanField_ELBO
from numpyro.infer.util import log_density

from amortis import (
    AutoAmortizedNormal,
    Point,
    Polynomial,
    SetNetwork,
    Table,
    Windowed,
    fit,
    from_numpyro,
    infer,
    params_of,
)
from tests.exact_models import linear
from tests.export import models

KEY = jax.random.key(11)
LEVELS = [0.1, 0.5, 0.9]


@pytest.fixture(scope="module")
def exact():
    return linear.example(100)


@pytest.fixture(scope="module")
def data(exact):
    return exact.x.astype(np.float32), exact.tau, exact.sigma


@pytest.fixture(scope="module")
def fitted(data):
    return fit(from_numpyro(linear.model, *data), key=KEY, inference=Polynomial(1))


def started(model, *args, inference=None, **choices):
    """A guide after its first call, and parameters with nothing zero by symmetry."""
    guide = AutoAmortizedNormal(model, inference=inference, **choices)
    svi = SVI(model, guide, optim.Adam(0.01), Trace_ELBO())
    params = svi.get_params(svi.init(KEY, *args))
    leaves, structure = jax.tree.flatten(params)
    generator = np.random.default_rng(0)
    moved = [v + jnp.asarray(0.2 * generator.normal(size=v.shape), v.dtype) for v in leaves]
    return guide, jax.tree.unflatten(structure, moved)


def losses(model, guide, params, args, draws=400):
    """The loss of many keys: minus estimates of the ELBO."""
    keys = jax.random.split(jax.random.key(5), draws)
    one = lambda key: Trace_ELBO().loss(key, params, model, guide, *args)  # noqa: E731
    return np.asarray(jax.jit(jax.vmap(one))(keys), np.float64)


def moments_of(guide, params, *args):
    """Means and sds of normal sites, from quantiles."""
    low, middle, high = (0.1586553, 0.5, 0.8413447)
    found = guide.quantiles(params, [low, middle, high], *args)
    return {name: (v[1], 0.5 * (v[2] - v[0])) for name, v in found.items()}


def test_svi_reaches_the_closed_form_and_its_loss_is_the_exact_elbo(data, exact):
    guide = AutoAmortizedNormal(linear.model, inference=Polynomial(1))
    rate = lambda step: 0.05 * 0.998**step  # noqa: E731
    svi = SVI(linear.model, guide, optim.Adam(rate), TraceMeanField_ELBO(num_particles=4))
    result = svi.run(KEY, 3000, *data, progress_bar=False)
    assert set(result.params) == {"auto_globals", "auto_locals"}
    moments = moments_of(guide, result.params, *data)
    reached = exact.elbo_of(moments["theta"], moments["z"])
    assert exact.elbo - 0.05 < reached < exact.elbo + 1e-3
    values = losses(linear.model, guide, result.params, data)
    # Four standard errors: false-failure rate below 1e-4.
    assert abs(-values.mean() - reached) < 4 * values.std(ddof=1) / np.sqrt(len(values)) + 2e-3


def test_a_fit_has_the_same_elbo_in_numpyro(data, exact, fitted):
    guide, params = AutoAmortizedNormal.from_fit(fitted), params_of(fitted)
    values = losses(linear.model, guide, params, data)
    se = values.std(ddof=1) / np.sqrt(len(values))
    moments = fitted.moments()
    assert abs(-values.mean() - exact.elbo_of(moments["theta"], moments["z"])) < 4 * se + 2e-3
    estimate = fitted.elbo(key=KEY)
    assert abs(-values.mean() - estimate.mean) < 4 * np.hypot(se, estimate.se)
    # SVI of that guide goes on from the fit.
    svi = SVI(linear.model, guide, optim.Adam(0.01), Trace_ELBO())
    start = svi.get_params(svi.init(KEY, *data))
    jax.tree.map(np.testing.assert_array_equal, dict(start), params)


def test_new_rows_of_another_number_get_what_infer_gives(data, exact, fitted):
    guide, params = AutoAmortizedNormal.from_fit(fitted), params_of(fitted)
    new = np.linspace(-9.0, 9.0, 37).astype(np.float32)
    post = infer(fitted, new, *data[1:]).moments()
    for found in (
        moments_of(guide, params, new, *data[1:]),
        jax.jit(lambda x: moments_of(guide, params, x, *data[1:]))(new),
    ):
        for name in ("theta", "z"):
            for left, right in zip(found[name], post[name], strict=True):
                np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    own = exact.tau * (new - exact.theta[0]) / exact.v
    np.testing.assert_allclose(guide.median(params, new, *data[1:])["z"], own, atol=1e-4)

    draws = 500
    predictive = Predictive(guide, params=params, num_samples=draws)
    several = {
        "sample_posterior": guide.sample_posterior(
            KEY, params, new, *data[1:], sample_shape=(draws,)
        ),
        "Predictive": predictive(KEY, new, *data[1:]),
    }
    for values in several.values():
        score = (values["z"].mean(axis=0) - own) / (post["z"][1] / np.sqrt(draws))
        assert values["z"].shape == (draws, 37) and values["theta"].shape == (draws,)
        assert np.abs(score).max() < 5.0  # 37 rows, twice: below 1e-4
    replicated = Predictive(linear.model, guide=guide, params=params, num_samples=4)
    assert replicated(KEY, new, *data[1:])["x"].shape == (4, 37)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        if name in ("constrained", "categorical")
        else name
        for name in models.MODELS
    ],
)
def test_the_guide_is_the_density_of_the_library(name, standard_promotion):
    model, args, choices = models.MODELS[name]
    guide, params = started(model, *args, init_scale=0.5, **choices)
    bound, own = guide._bound.model, guide._bound.guide
    seeded = handlers.seed(handlers.substitute(guide, params), 3)
    trace = handlers.trace(seeded).get_trace(*args)
    drawn = {n: s["value"] for n, s in trace.items() if s["type"] == "sample"}
    assert set(drawn) == {*bound.globals_, *bound.locals_}
    log_q, _ = log_density(seeded, args, {}, drawn)
    log_p, traced = log_density(handlers.seed(model, 0), args, {}, drawn)

    supports = {n: biject_to(traced[n]["fn"].support) for n in drawn}
    u = {n: supports[n].inv(v) for n, v in drawn.items()}
    log_det = sum(jnp.sum(supports[n].log_abs_det_jacobian(u[n], drawn[n])) for n in drawn)
    z = {n: jnp.moveaxis(u[n], guide._bound.axes[n], 0) for n in bound.locals_}
    parameters = {part: params[f"auto_{part}"] for part in ("globals", "locals")}
    raw = own.fitted_raw(parameters, None)
    theta_part, z_part = own.log_density(parameters, raw, u, z)
    np.testing.assert_allclose(log_q, theta_part + z_part.sum() - log_det, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(log_p, bound.log_joint(u, z) - log_det, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_batches_average_to_the_whole():
    x, tau, sigma = jnp.asarray(models.numbers(12)), 0.8, 1.1
    guide, params = started(models.subsampled, x, tau, sigma, inference=Polynomial(1))
    streamed, same = started(models.streamed, x[:4], tau, sigma, 12, inference=Polynomial(1))
    # The streamed guide has seen a batch only; its scale of the inputs is that of the batch.
    theta, z = jnp.asarray(0.3), jnp.asarray(models.numbers(12, seed=1))

    def elbo(model, guide, params, args, index):
        given = {"theta": theta, "z": z[index], "rows": index}
        substituted = handlers.substitute(guide, params | given)
        log_q, _ = log_density(substituted, args, {}, {})
        log_p, _ = log_density(handlers.substitute(model, given), args, {}, {})
        return float(log_p - log_q)

    batches = jnp.asarray([[3, 1, 10, 5], [0, 2, 4, 11], [6, 7, 8, 9]])
    for model, own, at, arguments in (
        (models.subsampled, guide, params, lambda index: (x, tau, sigma, 4)),
        (models.streamed, streamed, same, lambda index: (x[index], tau, sigma, 12)),
    ):
        every = jnp.arange(12)
        last = (12,) if model is models.streamed else ()
        whole = elbo(model, own, at, (x, tau, sigma, *last), every)
        parts = [elbo(model, own, at, arguments(index), index) for index in batches]
        np.testing.assert_allclose(np.mean(parts), whole, rtol=1e-5)
        assert np.std(parts) > 0.1


@pytest.mark.slow
def test_svi_on_batches_reaches_the_closed_form():
    exact = linear.example(200, prior_sd=3.0)
    x = jnp.asarray(exact.x, jnp.float32)
    args = (x, exact.tau, exact.sigma, 50)
    guide = AutoAmortizedNormal(models.subsampled, inference=Polynomial(1))
    rate = lambda step: 0.05 * 0.998**step  # noqa: E731
    svi = SVI(models.subsampled, guide, optim.Adam(rate), TraceMeanField_ELBO(num_particles=4))
    result = svi.run(KEY, 3000, *args, progress_bar=False)
    moments = moments_of(guide, result.params, *args[:3])
    assert exact.elbo - 0.3 < exact.elbo_of(moments["theta"], moments["z"]) <= exact.elbo + 1e-3


def test_streamed_batches_are_traced_arguments_of_one_compiled_step():
    exact = linear.example(200, prior_sd=3.0)
    batches = np.random.default_rng(0).permuted(exact.x).reshape(4, 50).astype(np.float32)
    guide = AutoAmortizedNormal(models.streamed, inference=Polynomial(1))
    rate = lambda step: 0.05 * 0.998**step  # noqa: E731
    svi = SVI(models.streamed, guide, optim.Adam(rate), TraceMeanField_ELBO(num_particles=4))
    state = svi.init(KEY, batches[0], exact.tau, exact.sigma, 200)
    update = jax.jit(lambda state, x: svi.update(state, x, exact.tau, exact.sigma, 200)[0])
    for step in range(2000):
        state = update(state, batches[step % 4])
    whole = (exact.x.astype(np.float32), exact.tau, exact.sigma, 200)
    moments = moments_of(guide, svi.get_params(state), *whole)
    assert exact.elbo - 0.3 < exact.elbo_of(moments["theta"], moments["z"]) <= exact.elbo + 1e-3


def test_groups_in_numpyro_and_new_groups():
    y, group = models.numbers(120), models.groups_of(120, 20)
    bound = from_numpyro(models.grouped, y, group, 20)
    fitted = fit(bound, key=KEY, inference=SetNetwork(width=0))
    guide, params = AutoAmortizedNormal.from_fit(fitted), params_of(fitted)
    values = losses(models.grouped, guide, params, (y, group, 20))
    se, estimate = values.std(ddof=1) / np.sqrt(len(values)), fitted.elbo(key=KEY)
    assert abs(-values.mean() - estimate.mean) < 4 * np.hypot(se, estimate.se)
    y_new, group_new = np.asarray([1.0, 2.0, -1.0], np.float32), np.asarray([0, 0, 2])
    mean, sd = infer(fitted, y_new, group_new, 4).moments()["z"]
    compiled = jax.jit(lambda y, group: moments_of(guide, params, y, group, 4)["z"])
    np.testing.assert_allclose(compiled(y_new, group_new)[0], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(compiled(y_new, group_new)[1], sd, rtol=1e-4)


def test_a_series_keeps_its_windows_and_a_new_one_has_its_own():
    x = models.numbers(60)
    window = Windowed(Polynomial(1), (0, 1))
    fitted = fit(from_numpyro(models.windowed, x), key=KEY, inference=window)
    guide, params = AutoAmortizedNormal.from_fit(fitted), params_of(fitted)
    for series in (x, np.asarray([1.0, 2.0, -1.0, 0.5], np.float32)):
        expected = infer(fitted, series).moments()["z"]
        for left, right in zip(moments_of(guide, params, series)["z"], expected, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def test_point_globals_are_the_elbo_of_variational_em():
    args = (jnp.asarray(models.numbers(40)), 0.8, 1.1)
    bound = from_numpyro(models.subsampled, *args)
    fitted = fit(bound, key=KEY, inference=Polynomial(1), globals_=Point())
    guide, params = (
        AutoAmortizedNormal.from_fit(fitted, prefix="em"),
        params_of(fitted, prefix="em"),
    )
    values = losses(models.subsampled, guide, params, args)
    se, estimate = values.std(ddof=1) / np.sqrt(len(values)), fitted.elbo(key=KEY)
    assert abs(-values.mean() - estimate.mean) < 4 * np.hypot(se, estimate.se) + 1e-3


@pytest.mark.slow
def test_quantiles_are_those_of_the_draws_and_deterministic_sites_are_drawn():
    x = models.numbers(6)
    guide, params = started(models.constrained, x, inference=Polynomial(1), init_scale=0.5)
    draws = guide.sample_posterior(
        KEY, params, sample_shape=(2, 2000)
    )  # the data of the first call
    np.testing.assert_allclose(draws["twice"], 2.0 * draws["u"], rtol=1e-6)
    found = guide.quantiles(params, LEVELS, x)
    for name in ("rate", "w"):
        values = np.asarray(draws[name]).reshape(4000, -1)
        below = (values[None] < np.asarray(found[name]).reshape(3, 1, -1)).mean(axis=1)
        level = np.asarray(LEVELS)[:, None]
        score = np.abs(below - level) / np.sqrt(level * (1 - level) / 4000)
        assert score.max() < 5.0  # 14 numbers at three levels: below 1e-4


def test_handlers_find_ordinary_sites(data, fitted):
    guide, params = AutoAmortizedNormal.from_fit(fitted), params_of(fitted)
    trace = handlers.trace(handlers.seed(handlers.substitute(guide, params), 0)).get_trace(*data)
    assert {n: s["type"] for n, s in trace.items()} == {
        "auto_globals": "param", "auto_locals": "param", "theta": "sample", "rows": "plate",
        "z": "sample",
    }  # fmt: skip
    held = handlers.condition(handlers.substitute(guide, params), {"theta": jnp.asarray(1.0)})
    log_q, _ = log_density(handlers.seed(held, 0), data, {}, {"z": jnp.zeros(100)})
    means, sds = fitted.local_moments()
    mean, sd = fitted.global_moments()
    expected = norm.logpdf(1.0, mean, sd).sum() + norm.logpdf(0.0, means, sds).sum()
    np.testing.assert_allclose(log_q, expected, rtol=1e-5)


def test_a_table_serves_its_own_rows_and_batches_of_them():
    x = jnp.asarray(models.numbers(12))
    guide, params = started(models.subsampled, x, 0.8, 1.1, inference=Table())
    index = jnp.asarray([3, 1, 10])
    with handlers.substitute(data={"rows": index}):
        part = guide.median(params, x, 0.8, 1.1, 3)["z"]
    np.testing.assert_allclose(part, guide.median(params, x, 0.8, 1.1)["z"][index], rtol=1e-6)
