"""Modes that q gives no mass are met by climbs, and named."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amortis import Finding, FullRank, Mixture, diagnose, fit, from_density, select_family

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


def test_where_all_the_mass_is_elsewhere_a_mixture_is_no_advice():
    fitted = fit(wells(0.0), key=KEY, globals_=FullRank())
    raw = jnp.asarray(fitted.variational["globals"]).at[:2].add(20.0)
    found = diagnose(
        dataclasses.replace(fitted, variational={**fitted.variational, "globals": raw}), key=KEY
    )
    assert "about 99 % of the mass" in str(found)
    assert "select_family" in found.next_steps[0]


def test_select_family_turns_to_a_mixture():
    selection = select_family(wells(0.5), key=KEY)
    tried = [type(candidate.factors.globals_).__name__ for candidate in selection.candidates]
    assert tried == ["DiagonalNormal", "Mixture"]
    assert selection.trusted and selection.best is selection.candidates[-1]
