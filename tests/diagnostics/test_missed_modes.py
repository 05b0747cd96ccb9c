"""Modes that q gives no mass are met by climbs, and named."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import (
    Finding,
    FullRank,
    Laplace,
    Mixture,
    diagnose,
    fit,
    from_density,
    from_numpyro,
    select_family,
)

KEY = jax.random.key(0)
PLACES = np.asarray([[5.0, 5.0], [-5.0, -5.0]])


def wells(share):
    """Two unit normals, 14 sds apart, the second with a share of the mass; normalized."""
    weights = jnp.log(jnp.asarray([1.0 - share, share]))

    def log_prior(theta):
        apart = theta["u"] - jnp.asarray(PLACES, jnp.float32)
        each = -0.5 * jnp.sum(jnp.square(apart), axis=1) - np.log(2.0 * np.pi)
        return jax.nn.logsumexp(weights + each)

    return from_density(
        log_prior,
        lambda theta, z, row: jnp.zeros(()),
        jnp.zeros(1),
        globals_={"u": (2,)},
        locals_={},
    )


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_fit_in_one_of_two_modes_is_not_trusted(share):
    found = diagnose(fit(wells(share), key=KEY, globals_=FullRank()), key=KEY)
    assert found.finding is Finding.GLOBALS_TOO_NARROW and not found.trusted
    (missed,) = found.missed
    here = np.asarray([found.spread.means[j] for j in range(2)])
    there = np.asarray(list(missed.at.values()))
    np.testing.assert_allclose(there, -here, atol=0.02)
    assert list(missed.at) == ["u[0]", "u[1]"]
    expected = share if there[0] < 0.0 else 1.0 - share
    np.testing.assert_allclose(missed.share, expected, rtol=0.02)
    assert found.evidence is None  # which the weights of q know nothing of
    assert f"q misses a mode with about {100 * expected:.2g} % of the mass at u[0] =" in str(found)
    assert "amortis.Mixture(2)" in found.next_steps[0]
    assert found.to_dict()["missed"] == [missed.to_dict()]


def test_modes_without_mass_are_not_held_against_it():
    found = diagnose(fit(wells(1e-3), key=KEY, globals_=FullRank()), key=KEY)
    assert found.missed == () and found.finding is Finding.EXACT
    assert found.spread.means[0] > 0.0


@pytest.mark.parametrize("components", [2, 3])
def test_a_mixture_begins_in_both(components):
    fitted = fit(wells(0.2), key=KEY, globals_=Mixture(components))
    found = diagnose(fitted, key=KEY)
    assert found.trusted and found.missed == ()
    # log Z = 0: what is missing of the ELBO is the divergence.
    assert abs(found.elbo.mean) < 0.01
    mean, sd = (np.asarray(part) for part in fitted.global_moments())
    np.testing.assert_allclose(mean, 3.0, atol=0.1)
    np.testing.assert_allclose(sd, np.sqrt(1.0 + 25.0 * (1.0 - 0.6**2)), rtol=0.02)


def test_a_factor_that_is_too_narrow_has_not_missed_the_mode_it_stands_in():
    """Mean-field at a correlation of .9999, a quarter sd off, which is more than 12 of its own."""
    correlation = 0.9999

    def log_prior(theta):
        u, v = theta["u"]
        return -0.5 * (u**2 + v**2 - 2 * correlation * u * v) / (1 - correlation**2)

    model = from_density(
        log_prior,
        lambda theta, z, row: jnp.zeros(()),
        jnp.zeros(1),
        globals_={"u": (2,)},
        locals_={},
    )
    fitted = fit(model, key=KEY)
    raw = jnp.asarray(fitted.variational["globals"]).at[:2].add(jnp.asarray([0.25, 0.25]))
    moved = dataclasses.replace(fitted, variational={**fitted.variational, "globals": raw})
    sds = np.asarray(moved.global_moments()[1])
    assert 0.25 / sds[0] > 12.0
    found = diagnose(moved, key=KEY)
    assert found.missed == () and not found.trusted


def test_a_factor_that_is_too_wide_has_not_missed_its_own_mode():
    """Laplace of a likelihood that is flat around the mode: 6 nats off, and right about where."""

    def square(x):
        t = numpyro.sample("t", dist.Normal(0.0, 1.6))
        numpyro.sample("x", dist.Normal(t**2, 1.0), obs=x)

    found = diagnose(fit(from_numpyro(square, jnp.zeros(())), key=KEY, globals_=Laplace()), key=KEY)
    assert found.missed == ()
    assert found.finding is Finding.GLOBALS_TOO_NARROW
    # By quadrature the sd is 0.654; q's is 1.6.
    assert "q overstates how uncertain the globals are: t (sd 1.6," in str(found)


def robust(x):
    """Two groups of data, 25 apart, of which either may be the outliers."""
    t = numpyro.sample("t", dist.Normal(0.0, 30.0))
    with numpyro.plate("n", x.shape[0]):
        numpyro.sample("x", dist.StudentT(2.0, t, 1.0), obs=x)


def test_modes_at_the_scale_of_the_prior_are_found_and_fitted():
    noise = np.random.default_rng(5).normal(size=8)
    x = np.concatenate([noise, 25.0 + noise[::-1]])
    model = from_numpyro(robust, jnp.asarray(x, jnp.float32))
    grid = np.linspace(-60.0, 90.0, 30001)
    log_p = -0.5 * (grid / 30.0) ** 2 - 1.5 * np.log1p((x[:, None] - grid) ** 2 / 2.0).sum(axis=0)
    weights = np.exp(log_p - log_p.max())
    weights /= weights.sum()
    mean = weights @ grid
    sd = np.sqrt(weights @ (grid - mean) ** 2)
    (missed,) = diagnose(fit(model, key=KEY, globals_=FullRank()), key=KEY).missed
    far = weights[grid > 12.5].sum()
    expected = far if missed.at["t"] > 12.5 else 1.0 - far
    np.testing.assert_allclose(missed.share, expected, atol=0.03)
    both = fit(model, key=KEY, globals_=Mixture(2))
    found = [float(part[0]) for part in both.global_moments()]
    np.testing.assert_allclose(found, [mean, sd], rtol=0.02)
    assert diagnose(both, key=KEY).trusted


def test_tails_that_no_draw_has_seen_enough_of_are_no_even_weights():
    """Student's t with 2.5 degrees of freedom, whose sd is 2.2: log weights vary by 0.2 nats."""

    def heavy(x):
        t = numpyro.sample("t", dist.StudentT(2.5, 0.0, 1.0))
        numpyro.sample("x", dist.Normal(t, 100.0), obs=x)

    fitted = fit(from_numpyro(heavy, jnp.zeros(())), key=KEY)
    assert float(fitted.global_moments()[1][0]) < 1.5
    assert not diagnose(fitted, key=jax.random.fold_in(KEY, 7)).trusted


def test_places_are_told_on_the_scale_of_the_model():
    def model(x):
        s = numpyro.sample("s", dist.LogNormal(0.0, 3.0))
        numpyro.sample("x", dist.Normal(jnp.abs(jnp.log(s)), 0.2), obs=x)

    found = diagnose(
        fit(from_numpyro(model, jnp.asarray(3.0)), key=KEY, globals_=FullRank()), key=KEY
    )
    (missed,) = found.missed
    place = missed.at["s"]
    assert min(abs(np.log(place) - 3.0), abs(np.log(place) + 3.0)) < 0.05
    assert found.spread.names == ("s (unconstrained)",)


def test_four_modes_are_found_in_the_end():
    places = jnp.asarray([[6.0, 6.0], [-6.0, -6.0], [6.0, -6.0], [-6.0, 6.0]])

    def four(x):
        each = dist.MultivariateNormal(places, jnp.eye(2))
        mixing = dist.Categorical(probs=jnp.full(4, 0.25))
        u = numpyro.sample("u", dist.MixtureSameFamily(mixing, each))
        numpyro.sample("x", dist.Normal(u.sum(), 1000.0), obs=x)

    model = from_numpyro(four, jnp.zeros(()))
    found = diagnose(fit(model, key=KEY, globals_=Mixture(2)), key=KEY)
    assert len(found.missed) == 2 and "amortis.Mixture(4)" in found.next_steps[0]
    selection = select_family(model, key=KEY)
    assert selection.trusted and str(selection.best.factors) == "Mixture(4)"


def test_select_family_turns_to_a_mixture():
    selection = select_family(wells(0.5), key=KEY)
    tried = [type(candidate.factors.globals_).__name__ for candidate in selection.candidates]
    assert tried == ["DiagonalNormal", "Mixture"]
    assert selection.trusted and selection.best is selection.candidates[-1]
