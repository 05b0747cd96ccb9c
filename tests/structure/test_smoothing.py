"""Derivatives of the smoothed function follow whatever two inputs meet in, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest

from amortis import check
from amortis.structure import Evidence, Kind
from amortis.structure.smoothing import NotFollowedError, smoothed
from tests.structure.corners import hierarchy

# asdex 0.5.2 cannot be imported with the JAX 0.12 that Python 3.12 gets; nothing is proved there.
asdex = pytest.importorskip("asdex", exc_type=ImportError)

PAIRED = {
    "where": lambda z: jnp.where(z[0] > z[1], 0.0, -3.0),
    "signs": lambda z: jnp.sign(z[0]) * jnp.sign(z[1]),
    "rounded": lambda z: jnp.round(z[0]) * jnp.floor(z[1]),
    "kink": lambda z: jax.nn.relu(z[0] + z[1]),
    "absolute": lambda z: jnp.abs(z[0] - z[1]),
    "clipped": lambda z: jnp.clip(z[0] + z[1], -1.0, 1.0),
    "both": lambda z: jnp.where((z[0] > 0) & (z[1] > 0), 1.0, 0.0),
    "same side": lambda z: jnp.where((z[0] > 0) == (z[1] > 0), 1.0, 0.0),
    "counted": lambda z: (jnp.sum((z[:2] > 0).astype(int)) ** 2).astype(float),
    "ranked": lambda z: jnp.argsort(z[:2])[0].astype(float),
    "largest": lambda z: jnp.max(z[:2]),
    "hinges": lambda z: jax.nn.relu(z[0] - 4.0) * jax.nn.relu(z[1] - 4.0),
    "custom": lambda z: jax.nn.softplus(jnp.where(z[0] > z[1], 1.0, 2.0)),
}

APART = {
    "where": lambda z: jnp.sum(jnp.where(z > 0, z, -3.0)),
    "hinges": lambda z: jnp.sum(jax.nn.relu(z - 1.0)),
    "rounded": lambda z: jnp.sum(jnp.round(z) ** 2),
    "between": lambda z: jnp.sum(jnp.where((z > 0) & (z < 1), 1.0, jnp.abs(z))),
    "shaped": lambda z: jnp.sum(jnp.where((z > 0).reshape(4, 1)[::-1], 1.0, 2.0)),
}


def edges(function):
    pattern = asdex.hessian_sparsity(smoothed(function, jnp.zeros(4)), jnp.zeros(4))
    return {(i, j) for i, j in zip(*map(np.asarray, (pattern.rows, pattern.cols)), strict=True)}


@pytest.mark.parametrize("name", list(PAIRED))
def test_what_meets_in_a_jump_has_an_edge(name):
    found = edges(PAIRED[name])
    assert (0, 1) in found and (1, 0) in found
    assert not {(i, j) for i, j in found if i > 1 or j > 1}


@pytest.mark.parametrize("name", list(APART))
def test_what_jumps_alone_has_no_edge(name):
    assert all(i == j for i, j in edges(APART[name]))


def test_a_smooth_function_is_left_alone():
    function = lambda z: jnp.sum(z[1:] * z[:-1]) + jnp.sum(jnp.exp(z))  # noqa: E731
    at = jnp.asarray([0.1, -2.0, 0.7, 3.0])
    np.testing.assert_allclose(smoothed(function, at)(at), function(at), rtol=1e-6)


def test_jumps_inside_a_loop_are_not_followed():
    def function(z):
        return jax.lax.scan(lambda c, zn: (jnp.where(zn > c, zn, c), None), 0.0, z)[0]

    with pytest.raises(NotFollowedError):
        smoothed(function, jnp.zeros(3))(jnp.zeros(3))


def test_a_pair_that_no_point_meets_is_not_proved_away():
    """The prior meets z_0 > 4 and z_1 > 4 once in a billion draws."""

    def model(x, tied):
        _, z = hierarchy(x, 0.0, 0.5)
        numpyro.factor("corner", tied * jax.nn.relu(z[0] - 20.0) * jax.nn.relu(z[1] - 20.0))

    x = np.random.default_rng(0).normal(size=30).astype(np.float32)
    found = check(lambda x: model(x, 1.0), x)
    assert found.kind is Kind.POINTWISE  # a wrong yes that docs/check.md owns up to
    assert found.evidence is Evidence.PROBED


def test_lags_longer_than_a_few_units_are_within_the_copy():
    """Neighbors 52 apart touch where both exceed 20, which is never: not proved for 60 units."""

    def model(x):
        _, z = hierarchy(x, 0.0, 0.5)
        numpyro.factor("corner", jnp.sum(jax.nn.relu(z[52:] - 20.0) * jax.nn.relu(z[:-52] - 20.0)))

    x = np.random.default_rng(0).normal(size=200).astype(np.float32)
    assert check(model, x).evidence is Evidence.PROBED
