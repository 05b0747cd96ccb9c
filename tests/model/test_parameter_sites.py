"""`numpyro.param` sites and networks: globals without a prior, searched for from their values."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from flax import nnx
from numpyro.contrib.module import eqx_module, nnx_module, random_eqx_module
from numpyro.distributions import constraints
from numpyro.infer.util import log_density

import amortis
from amortis.families import PartlyPoint

X = np.asarray(2.0 + 3.0 * np.random.default_rng(0).standard_normal(200), np.float32)
POINTS = (X.mean(), np.sqrt(X.var() - 1.0))
"""Where the likelihood of `normal` is largest: x has the variance 1 + scale^2."""


def normal(x):
    mean = numpyro.param("mean", 5.0)
    scale = numpyro.param("scale", 0.5, constraint=constraints.positive)
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(mean, 1.0))
        numpyro.sample("x", dist.Normal(z, scale), obs=x)


def with_prior(x):
    shift = numpyro.param("shift", jnp.asarray(0.3))
    theta = numpyro.sample("theta", dist.Normal(0.0, 2.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z + shift, 3.0), obs=x)


@pytest.fixture(scope="module")
def fitted():
    model = amortis.from_numpyro(normal, X)
    return amortis.fit(model, key=jax.random.key(0), inference=amortis.Polynomial(1))


def test_estimates_are_those_of_maximum_likelihood(fitted):
    # A log determinant of the scale's bijection would shift the estimate by 1 part in N: 0.5 %.
    params = fitted.params
    assert set(params) == {"mean", "scale"}
    np.testing.assert_allclose(params["mean"], POINTS[0], rtol=1e-4)
    np.testing.assert_allclose(params["scale"], POINTS[1], rtol=3e-4)
    density = dist.Normal(POINTS[0], np.sqrt(1.0 + POINTS[1] ** 2)).log_prob(X).sum()
    np.testing.assert_allclose(fitted.elbo(key=jax.random.key(1)).mean, density, atol=2e-3)


def test_estimates_are_no_latents(fitted):
    assert set(fitted.moments()) == {"z"}
    assert set(fitted.posterior(key=jax.random.key(0), draws=2)) == {"z"}


def test_new_data_and_archives_keep_the_estimates(fitted, tmp_path):
    new = amortis.infer(fitted, X[:5])
    np.testing.assert_array_equal(new.params["mean"], fitted.params["mean"])
    amortis.save(fitted, tmp_path / "fit.amortis")
    again = amortis.infer(amortis.load(tmp_path / "fit.amortis", normal), X[:5])
    np.testing.assert_array_equal(again.params["scale"], fitted.params["scale"])
    np.testing.assert_array_equal(again.local_moments()[0], new.local_moments()[0])


def test_estimates_beside_a_prior_are_refined_and_grown_and_not_updated():
    model = amortis.from_numpyro(with_prior, X)
    key = jax.random.key(0)
    fitted = amortis.fit(model, key=key, inference=amortis.Constant(), tolerance=1e-3)
    assert isinstance(fitted.guide.global_family, PartlyPoint)
    # The ideal function is affine, and a constant is not: it had to grow.
    assert not isinstance(fitted.guide.inference, amortis.Constant)
    small = amortis.fit(model, key=key, inference=amortis.Constant())
    refined = amortis.refine(small, key=key)
    gained = refined.elbo(key=key).mean - small.elbo(key=key).mean
    assert gained > 1.0
    held = {name: np.asarray(value) for name, value in small.params.items()}
    np.testing.assert_array_equal(refined.params["shift"], held["shift"])
    with pytest.raises(amortis.ArgumentError, match="parameters without a prior, of which no"):
        amortis.update(small, amortis.from_numpyro(with_prior, X[:5]), key=key)


def test_families_that_cannot_stand_beside_estimates_are_not_tried():
    selection = amortis.select_family(
        amortis.from_numpyro(normal, X[:30]), key=jax.random.key(0), all_of_them=True
    )
    tried = [str(candidate.factors) for candidate in selection.candidates]
    assert tried == ["DiagonalNormal, DiagonalNormal", "DiagonalNormal, FullRank"]
    assert all(candidate.fit is not None for candidate in selection.candidates)


def test_log_joint_is_numpyros():
    model = amortis.from_numpyro(with_prior, X)
    theta = {"shift": jnp.asarray(-0.7), "theta": jnp.asarray(0.4)}
    z = {"z": jnp.asarray(X) / 2.0}
    expected, _ = log_density(with_prior, (X,), {}, theta | z)
    np.testing.assert_allclose(model.log_joint(theta, z), expected, rtol=1e-6)
    assert dict(model.starts) == {"shift": 0.3}


def test_others_keep_their_family(tmp_path):
    x = X - 2.0
    model = amortis.from_numpyro(with_prior, x)
    held = amortis.fit(model, key=jax.random.key(0), inference=amortis.Polynomial(1))
    family = held.guide.global_family
    assert isinstance(family, PartlyPoint) and family.points == ((0, 1),)
    # theta's prior pulls it to zero, and the shift, which has none, takes what is left.
    np.testing.assert_allclose(held.params["shift"], x.mean(), atol=2e-3)
    mean, sd = held.moments()["theta"]
    np.testing.assert_allclose(mean, 0.0, atol=2e-3)
    amortis.save(held, tmp_path / "fit.amortis")
    loaded = amortis.load(tmp_path / "fit.amortis", with_prior, x)
    assert loaded.guide.global_family == family
    np.testing.assert_array_equal(loaded.params["shift"], held.params["shift"])
    # Mean-field: the precision of theta given the z, each of which has a factor of its own.
    np.testing.assert_allclose(sd, (200 / 1.0 + 1 / 4.0) ** -0.5, rtol=1e-3)


@pytest.mark.parametrize("layer", [eqx.nn.Linear, nnx.Linear])
def test_a_network_starts_at_its_weights(layer):
    if layer is nnx.Linear:
        net = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        weights = {"net/kernel": net.kernel.get_value(), "net/bias": net.bias.get_value()}
    else:
        net = eqx.nn.Linear(2, 3, key=jax.random.key(0))
        weights = {"net/weight": net.weight, "net/bias": net.bias}

    def model(x):
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
            inside = nnx_module("net", net) if layer is nnx.Linear else eqx_module("net", net)
            location = inside(z) if layer is nnx.Linear else jax.vmap(inside)(z)
            numpyro.sample("x", dist.Normal(location, 1.0).to_event(1), obs=x)

    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    bound = amortis.from_numpyro(model, x)
    assert {n: tuple(s.shape) for n, s in weights.items()} == dict(bound.globals_)
    for name, start in weights.items():
        np.testing.assert_array_equal(bound.starts[name], start)
    assert amortis.check(bound).kind is amortis.Kind.POINTWISE
    fitted = amortis.fit(
        bound, key=jax.random.key(0), optimiser=amortis.ConstantRate(1e-6, iterations=1)
    )
    (found,) = fitted.params.values()
    near = {leaf.shape: leaf for leaf in jax.tree.leaves(found)}
    for start in weights.values():
        np.testing.assert_allclose(near[start.shape], start, atol=1e-5)


def test_a_random_network_has_a_prior():
    net = eqx.nn.Linear(1, 1, key=jax.random.key(0))

    def model(x):
        inside = random_eqx_module("net", net, prior=dist.Normal(0.0, 1.0))
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(0.0, 1.0))
            numpyro.sample("x", dist.Normal(jax.vmap(inside)(z[:, None])[:, 0], 1.0), obs=x)

    bound = amortis.from_numpyro(model, X)
    assert set(bound.globals_) == {"net/weight", "net/bias"}
    assert not bound.starts


@pytest.mark.parametrize(
    ("families", "line"),
    [
        ({"globals_": amortis.FullRank()}, r"globals_ is FullRank\(.*parameters without a prior"),
        ({"locals_": amortis.Conditional()}, r"locals_ is Conditional\(.*parameters without"),
    ],
)
def test_families_that_tie_parameters_are_refused(families, line):
    model = amortis.from_numpyro(with_prior, X)
    with pytest.raises(amortis.ArgumentError, match=line):
        amortis.fit(model, key=jax.random.key(0), **families)


def test_a_site_in_some_runs_only_is_refused():
    runs = []

    def model(x):
        runs.append(0)
        extra = numpyro.param("late", 0.0) if len(runs) > 1 else 0.0
        with numpyro.plate("rows", x.shape[0]):
            z = numpyro.sample("z", dist.Normal(extra, 1.0))
            numpyro.sample("x", dist.Normal(z, 1.0), obs=x)

    with pytest.raises(amortis.ModelError, match="param site 'late' in this run only"):
        amortis.from_numpyro(model, X)
