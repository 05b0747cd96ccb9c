import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from amortis import numerics

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture
def parts():
    generator = np.random.default_rng(3)
    return generator.normal(size=5), generator.normal(size=5), generator.normal(size=5)


def test_the_log_density_is_the_sum_of_normal_log_densities(parts):
    got = numerics.log_density(*(jnp.asarray(part) for part in parts))
    expected = sum(stats.norm.logpdf(v, m, np.exp(r)) for v, m, r in zip(*parts, strict=True))
    np.testing.assert_allclose(float(got), expected, rtol=1e-12)


def test_the_entropy_is_the_sum_of_normal_entropies(parts):
    log_sd = parts[2]
    expected = sum(stats.norm(0, np.exp(r)).entropy() for r in log_sd)
    np.testing.assert_allclose(float(numerics.entropy(jnp.asarray(log_sd))), expected, rtol=1e-12)


def test_the_entropy_is_minus_the_expected_log_density():
    mean, log_sd = jnp.asarray([0.4]), jnp.asarray([-0.7])

    def integrand(u):
        log_q = float(numerics.log_density(jnp.asarray([u]), mean, log_sd))
        return -log_q * np.exp(log_q)

    integral, _ = integrate.quad(integrand, -5, 6, limit=60)
    np.testing.assert_allclose(float(numerics.entropy(log_sd)), integral, rtol=1e-8)


def test_no_dimensions_have_no_entropy():
    assert float(numerics.entropy(jnp.zeros(0))) == 0.0
    assert float(numerics.log_density(jnp.zeros(0), jnp.zeros(0), jnp.zeros(0))) == 0.0
