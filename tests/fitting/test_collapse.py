"""A model made to collapse: its decoder explains the data from their own past, at first as well.

Each row is a short series about a level that its latent decides, xₜ = a xₜ₋₁ + w tanh(5 z) + s ε.
With w = 0 the past alone explains the level, and where the latent is not read its divergence is all
cost: a local optimum of the ELBO, half a nat per datum below the other one.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import MLP, AnnealedKL, FreeBits, Point, diagnose, fit, from_numpyro

ROWS, STEPS = 300, 6


def model(x):
    flat = dist.constraints
    a = numpyro.sample("a", dist.ImproperUniform(flat.real, (), ()))
    w = numpyro.sample("w", dist.ImproperUniform(flat.real, (), ()))
    s = numpyro.sample("s", dist.ImproperUniform(flat.positive, (), ()))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        past = jnp.concatenate([jnp.zeros((x.shape[0], 1)), x[:, :-1]], axis=1)
        mean = a * past + w * jnp.tanh(5.0 * z)[..., None]
        numpyro.sample("x", dist.Normal(mean, s).to_event(1), obs=x)


@pytest.fixture(scope="module")
def bound():
    generator = np.random.default_rng(0)
    level = np.sign(generator.normal(size=ROWS))
    x = np.zeros((ROWS, STEPS))
    past = np.zeros(ROWS)
    for t in range(STEPS):
        past = 0.5 * past + 0.7 * level + 0.5 * generator.normal(size=ROWS)
        x[:, t] = past
    return from_numpyro(model, x.astype(np.float32))


def fitted(bound, key, **choices):
    return fit(bound, key=key, globals_=Point(), inference=MLP(width=8), **choices)


def collapse(some, key):
    return diagnose(some, key=key, draws=32).collapse


@pytest.mark.slow
@pytest.mark.parametrize("objective", [AnnealedKL(600), FreeBits(0.5)])
def test_collapse_is_seen_and_prevented(bound, key, objective):
    plain = fitted(bound, key)
    collapsed = collapse(plain, key)
    assert not collapsed.active.any() and collapsed.kl[0] < 0.01
    better = fitted(bound, key, objective=objective)
    alive = collapse(better, key)
    assert alive.active.all() and 0.7 < alive.kl[0] < 1.3
    assert alive.mutual_information > 0.5 > 0.05 > collapsed.mutual_information
    gain = better.elbo(key=key).mean - plain.elbo(key=key).mean
    assert gain > 0.3 * ROWS
    parameters = {name: float(mean) for name, (mean, _) in better.moments().items() if name in "as"}
    np.testing.assert_allclose([parameters["a"], parameters["s"]], 0.5, atol=0.08)


def test_annealing_leaves_the_collapse_that_the_plain_elbo_ends_in(bound, key):
    """The same method from the same start, but for the steps before it."""
    plain, better = fitted(bound, key), fitted(bound, key, objective=AnnealedKL(600))
    w = [abs(float(some.moments()["w"][0])) for some in (plain, better)]
    assert w[0] < 0.05 and 0.5 < w[1] < 0.9
    assert jnp.isfinite(better.elbo(key=jax.random.key(1)).mean)
    assert better.elbo(key=key).mean - plain.elbo(key=key).mean > 0.3 * ROWS
