"""The linear model: xₙ ~ N(θ + τ zₙ, σ²), zₙ ~ N(0, 1), θ flat or N(0, s₀²)."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpy.typing import NDArray

from tests.exact_models import gaussian


def model(x, tau, sigma, prior_sd=None):
    """The model in NumPyro; a flat prior where `prior_sd` is left out."""
    if prior_sd is None:
        theta = numpyro.sample("theta", dist.ImproperUniform(dist.constraints.real, (), ()))
    else:
        theta = numpyro.sample("theta", dist.Normal(jnp.zeros(()), prior_sd))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(()), 1.0))
        numpyro.sample("x", dist.Normal(theta + tau * z, sigma), obs=x)


@dataclasses.dataclass(frozen=True)
class Linear:
    """Closed forms for one data set; variances, nats and posterior means as the text names them."""

    x: NDArray[np.float64]
    tau: float
    sigma: float
    prior_sd: float | None = None

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def v(self) -> float:
        return self.sigma**2 + self.tau**2

    @property
    def scatter(self) -> float:
        """S = Σ(xₙ − x̄)²."""
        return float(np.sum((self.x - self.x.mean()) ** 2))

    @property
    def prior_precision(self) -> float:
        return 0.0 if self.prior_sd is None else self.prior_sd**-2

    @property
    def theta(self) -> tuple[float, float]:
        """Mean and variance of q*(θ); the mean is that of the posterior too."""
        n, v = self.n, self.v
        mean = (n * self.x.mean() / v) / (n / v + self.prior_precision)
        return float(mean), 1.0 / (n / self.sigma**2 + self.prior_precision)

    @property
    def z(self) -> tuple[NDArray[np.float64], float]:
        """Means and the common variance of q*(zₙ)."""
        return self.tau * (self.x - self.theta[0]) / self.v, self.sigma**2 / self.v

    @property
    def log_evidence(self) -> float:
        """log p(x); with a flat prior the integral of the likelihood over θ."""
        n, v = self.n, self.v
        if self.prior_sd is None:
            likelihood = -self.scatter / (2 * v) - 0.5 * n * math.log(2 * math.pi * v)
            return likelihood + 0.5 * math.log(2 * math.pi * v / n)
        covariance = v * np.eye(n) + self.prior_sd**2 * np.ones((n, n))
        _, log_det = np.linalg.slogdet(covariance)
        square = self.x @ np.linalg.solve(covariance, self.x)
        return float(-0.5 * (square + log_det + n * math.log(2 * math.pi)))

    @property
    def gap(self) -> float:
        """KL of the best factorized posterior: ½ log(v/σ²) where θ is flat."""
        _, variance = self.theta
        return -0.5 * math.log1p(-self.n * self.tau**2 / (self.sigma**2 * self.v) * variance)

    @property
    def elbo(self) -> float:
        """The best factorized ELBO, which any function that is linear in xₙ reaches."""
        return self.log_evidence - self.gap

    @property
    def constant_shortfall(self) -> float:
        """What one factor for all rows loses; Sτ²/(2σ²v) where θ is flat."""
        means, precision = self.posterior
        basis = np.zeros((self.n + 1, 2))
        basis[0, 0] = 1.0
        basis[1:, 1] = 1.0
        return gaussian.shortfall(means, precision, basis)

    @property
    def posterior(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and precision of the joint posterior of (θ, z₁, …, z_N)."""
        precision = np.eye(self.n + 1) * self.v / self.sigma**2
        precision[0, :] = precision[:, 0] = self.tau / self.sigma**2
        precision[0, 0] = 1.0 / self.theta[1]
        return np.concatenate([[self.theta[0]], self.z[0]]), precision

    def elbo_of(self, theta, z) -> float:
        """The exact ELBO of independent Gaussians, given (mean, sd) of θ and of all zₙ."""
        means = np.concatenate([np.ravel(theta[0]), np.ravel(z[0])])
        sds = np.concatenate([np.ravel(theta[1]), np.ravel(z[1])])
        return self.log_evidence - gaussian.kl_of_diagonal(means, sds**2, *self.posterior)


def example(n: int, *, prior_sd: float | None = None, seed: int = 0) -> Linear:
    """Data from the model at θ = 1.5, τ = 1.155, σ = 2.43."""
    generator = np.random.default_rng(seed)
    tau, sigma = 1.155, 2.43
    x = 1.5 + tau * generator.normal(size=n) + sigma * generator.normal(size=n)
    return Linear(x, tau, sigma, prior_sd)
