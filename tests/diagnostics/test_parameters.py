"""What is said of globals that have a prior, beside parameters that have none."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from amortis import Finding, Polynomial, diagnose, fit, from_numpyro

ROWS = 200


def shifted(x):
    shift = numpyro.param("shift", jnp.asarray(0.3))
    theta = numpyro.sample("theta", dist.Normal(0.0, 2.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(theta, 1.0))
        numpyro.sample("x", dist.Normal(z + shift, 3.0), obs=x)


@pytest.mark.usefixtures("standard_promotion")
def test_only_what_has_a_prior_has_a_spread():
    x = np.asarray(3.0 * np.random.default_rng(0).normal(size=ROWS), np.float32)
    fitted = fit(from_numpyro(shifted, x), key=jax.random.key(0), inference=Polynomial(1))
    found = diagnose(fitted, key=jax.random.key(1))
    spread = found.spread
    assert spread is not None and spread.names == ("theta",)
    np.testing.assert_allclose(spread.means, 0.0, atol=2e-3)
    # Mean-field: the precision of theta given the z, each of which has a factor of its own.
    np.testing.assert_allclose(spread.sds, (ROWS + 1 / 4.0) ** -0.5, rtol=1e-3)
    # The data say theta + shift alone, so that with a flat prior on the shift theta has its prior.
    np.testing.assert_allclose(spread.responding, 2.0, rtol=1e-3)
    assert found.finding is Finding.GLOBALS_TOO_NARROW
    # Families that tie globals are refused for this model, so that none is proposed.
    assert [step.split(":")[0] for step in found.next_steps] == ["fitted.covariance()"]
