"""Log likelihoods and replicates of every model that can be bound, beside NumPyro's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.control_flow import scan

from amortis import ArgumentError, from_density, from_numpyro
from amortis.model import log_likelihoods, outline, replicate
from amortis.model.checks import random_values
from tests.model.zoo import CASES, N

pytestmark = pytest.mark.usefixtures("standard_promotion")

KEY = jax.random.key(11)
REPLICATES = 2000


def chain(y):
    sd = numpyro.sample("sd", dist.HalfNormal(1.0))

    def step(z, y_t):
        z = numpyro.sample("z", dist.Normal(0.9 * z, sd))
        numpyro.sample("y", dist.Normal(z, 0.5), obs=y_t)
        return z, None

    scan(step, jnp.zeros(()), y)


def process(y, t):
    scale = numpyro.sample("scale", dist.LogNormal(0.0, 0.3))
    distance = (t[:, None] - t[None]) ** 2 / scale**2
    covariance = jnp.exp(-0.5 * distance) + 1e-3 * jnp.eye(t.shape[0])
    f = numpyro.sample("f", dist.MultivariateNormal(jnp.zeros(t.shape[0]), covariance))
    numpyro.sample("y", dist.Poisson(jnp.exp(f)).to_event(1), obs=y)


def counties(y, floor, county, count):
    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    with numpyro.plate("county", count):
        a = numpyro.sample("a", dist.Normal(mean, 1.0))
    with numpyro.plate("houses", y.shape[0]):
        numpyro.sample("y", dist.Normal(a[county] + slope * floor, 0.7), obs=y)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def integers(high, size, seed=0):
    return np.random.default_rng(seed).integers(0, high, size)


COUPLED = {
    "chain": (chain, (numbers(12),)),
    "process": (process, (integers(5, 9), np.linspace(0.0, 3.0, 9).astype(np.float32))),
    "counties": (counties, (numbers(30), integers(2, 30), integers(6, 30, 1), 6)),
}
SLOW = ("dim_minus_two", "multivariate", "several_locals", "several_arrays", "size_written_in")
EVERY = (
    "rows_on_the_right",
    "vectors",
    "expanded_to_event",
    "factors_and_masks",
    "subsampled",
    *COUPLED,
    *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
)


@functools.cache
def at_random(name):
    """The bound model, random latents, and NumPyro's own trace with these latents."""
    if name in COUPLED:
        function, args = COUPLED[name]
        kwargs = whole = {}
        model = from_numpyro(function, *args)
    else:
        case = CASES[name]
        function, args, kwargs, whole = case.function, case.args, case.kwargs, case.whole
        model = from_numpyro(function, *args, local=case.local, **kwargs)
    theta, z = random_values(model, seed=0, scale=0.5)
    if whole:
        (held,) = whole  # the size of a batch is an argument by position
        args = (args[0], whole[held])
    values = model.constrain(theta, z)
    latents = {n: values[n] for n in (*model.globals_, *model.locals_)}
    held = numpyro.handlers.substitute(numpyro.handlers.seed(function, 0), data=latents)
    trace = numpyro.handlers.trace(held).get_trace(*args, **kwargs)
    observed = {
        n: s
        for n, s in trace.items()
        if s["type"] == "sample" and s["is_observed"] and "is_auxiliary" not in s["infer"]
    }
    return model, theta, z, observed


@pytest.mark.parametrize("name", EVERY)
def test_log_likelihoods_are_those_of_numpyro(name):
    model, theta, z, observed = at_random(name)
    found = log_likelihoods(model, theta, z)
    assert set(found) == set(observed)
    for site, value in found.items():
        expected = observed[site]["fn"].log_prob(observed[site]["value"])
        if expected.ndim == 0:  # one event; its rows are the points
            assert value.shape[0] in (model.size, len(observed[site]["value"]))
            value = jnp.sum(value)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_replicates_have_the_moments_of_the_sites(name):
    """Of each entry; a mean off by 6 s.e. has p < 2e-9, a variance off by 10 s.e. less than 1e-5.

    Beta-like marginals and Poisson counts have kurtosis below 9, for which the variance's s.e. is
    at most sqrt(8/R) of itself.
    """
    model, theta, z, observed = at_random(name)
    many = jax.jit(
        lambda keys: jax.lax.map(lambda k: replicate(model, theta, z, k), keys, batch_size=500)
    )(jax.random.split(KEY, REPLICATES))
    shown = outline(model).observed
    for site, draws in many.items():
        law = observed[site]["fn"]
        while isinstance(law, dist.MaskedDistribution):
            law = law.base_dist
        shape = shown[site].shape
        mean, variance = (np.broadcast_to(v, shape) for v in (law.mean, law.variance))
        draws = np.asarray(draws, np.float64)
        assert draws.shape == (REPLICATES, *shape)
        np.testing.assert_array_less(
            np.abs(draws.mean(0) - mean), 6.0 * np.sqrt(variance / REPLICATES)
        )
        off = np.abs(draws.var(0) - variance)
        np.testing.assert_array_less(off, 10.0 * variance * np.sqrt(8.0 / REPLICATES) / 2.0)


def test_entries_are_drawn_independently():
    """Also where the data are wider than the distribution: 45 correlations, each below 6 s.e."""
    model, theta, z, _ = at_random("subsampled")
    many = jax.vmap(lambda k: replicate(model, theta, z, k)["x"])(jax.random.split(KEY, 4000))
    correlations = np.corrcoef(np.asarray(many, np.float64).reshape(4000, -1).T)
    off = correlations[~np.eye(len(correlations), dtype=bool)]
    assert np.abs(off).max() < 6.0 / np.sqrt(4000)


def test_a_site_follows_the_replicate_that_it_was_made_of(key):
    def model(x, y):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            first = numpyro.sample("x", dist.Normal(z, 1.0), obs=x)
            numpyro.sample("y", dist.Normal(first, 1e-4), obs=y)

    x = numbers(20)
    bound = from_numpyro(model, x, x)
    drawn = replicate(bound, {}, bound.zeros(20), key)
    np.testing.assert_allclose(drawn["y"], drawn["x"], atol=1e-3)
    assert np.abs(drawn["x"] - x).max() > 0.1
    # The likelihood of y is at the data, not at a replicate.
    np.testing.assert_allclose(
        log_likelihoods(bound, {}, bound.zeros(20))["y"],
        dist.Normal(jnp.asarray(x), 1e-4).log_prob(x),
        rtol=1e-6,
    )


def test_factors_are_left_out_and_masked_entries_are_drawn(key):
    model, theta, z, _ = at_random("factors_and_masks")
    drawn, found = replicate(model, theta, z, key), log_likelihoods(model, theta, z)
    assert set(drawn) == set(found) == {"x"}
    keep = CASES["factors_and_masks"].args[1]
    np.testing.assert_array_equal(np.asarray(found["x"]) == 0.0, ~keep)
    assert len(np.unique(drawn["x"])) == N


def test_axes_are_called_what_plates_are_called():
    axes = {
        name: dict(outline(at_random(name)[0]).axes)
        for name in ("rows_on_the_right", "vectors", "factors_and_masks", "chain", "counties")
    }
    assert axes == {
        "rows_on_the_right": {
            "theta": (),
            "z": ("rows",),
            "w": ("sides", "rows"),
            "x": ("sides", "rows"),
        },
        "vectors": {"weights": (None, None), "z": ("rows", None), "x": ("rows", None)},
        "factors_and_masks": {"theta": (), "z": ("rows",), "twice": ("rows",), "x": ("rows",)},
        "chain": {"sd": (), "z": (None,), "y": (None,)},
        "counties": {"mean": (), "slope": (), "a": ("county",), "y": ("houses",)},
    }


def test_deterministic_values_inside_and_outside_plates():
    def model(x):
        with numpyro.plate("columns", 3, dim=-1):
            load = numpyro.sample("load", dist.Normal(0.0, 1.0))
        with numpyro.plate("rows", x.shape[0], dim=-2):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.deterministic("both", z * load)
            with numpyro.plate("columns", 3, dim=-1):
                numpyro.deterministic("by_column", load)
                numpyro.deterministic("triple", jnp.stack([z * load] * 2, axis=-1))
                numpyro.sample("x", dist.Normal(z * load, 1.0), obs=x)
        numpyro.deterministic("outside", z[:, 0])

    axes = outline(from_numpyro(model, numbers(10, 3))).axes
    assert axes["both"] == ("rows", None)
    assert axes["by_column"] == ("columns",)
    assert axes["triple"] == ("rows", "columns", None)
    assert axes["outside"] == (None,)


def test_sites_without_a_sampler_are_refused_in_one_line(key):
    class Mute(dist.Normal):
        def sample(self, key, sample_shape=()):
            raise NotImplementedError

        def expand(self, batch_shape):
            return self

    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.sample("x", Mute(z, 1.0), obs=x)

    bound = from_numpyro(model, numbers(10))
    with pytest.raises(ArgumentError, match=r"'x' \(Mute\) has no sampler; expected a dist") as e:
        replicate(bound, {}, bound.zeros(10), key)
    assert "\n" not in str(e.value)


def test_densities_by_hand_have_rows_and_no_sampler(key):
    bound = from_density(
        lambda theta: -0.5 * theta["mu"] ** 2,
        lambda theta, z, x: -0.5 * (x["a"] - z["z"].sum() - theta["mu"]) ** 2,
        {"a": np.arange(5.0)},
        globals_={"mu": ()},
        locals_={"z": (2,)},
    )
    found = outline(bound)
    assert dict(found.axes) == {"mu": (), "z": ("rows", None)}
    assert dict(found.plates) == {"rows": 5} and list(found.arguments) == ["data['a']"]
    theta, z = random_values(bound, seed=0, scale=0.5)
    for call in (
        lambda: replicate(bound, theta, z, key),
        lambda: log_likelihoods(bound, theta, z),
    ):
        with pytest.raises(ArgumentError, match="made by from_density, whose log densities do not"):
            call()
