"""Probabilistic principal component analysis: xₙ ~ N(W zₙ + μ, s² I), zₙ ~ N(0, I).

Tipping & Bishop, *Probabilistic principal component analysis* (1999), eqs. 6-9 and A.5.
"""

import math

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def model(x, latents):
    """The model in NumPyro with flat priors, so that point estimates are of maximum likelihood."""
    flat = dist.constraints
    columns = x.shape[1]
    loadings = numpyro.sample("W", dist.ImproperUniform(flat.real, (), (columns, latents)))
    mean = numpyro.sample("mu", dist.ImproperUniform(flat.real, (), (columns,)))
    noise = numpyro.sample("s", dist.ImproperUniform(flat.positive, (), ()))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(latents), 1.0).to_event(1))
        numpyro.sample("x", dist.Normal(z @ loadings.T + mean, noise).to_event(1), obs=x)


def log_likelihood(x: Matrix, loadings: Matrix, mean: NDArray[np.float64], noise: float) -> float:
    """Σₙ log N(xₙ; μ, W Wᵀ + s² I), in nats, total."""
    n, d = x.shape
    covariance = loadings @ loadings.T + noise**2 * np.eye(d)
    _, log_det = np.linalg.slogdet(covariance)
    centered = x - mean
    squares = np.sum(centered * np.linalg.solve(covariance, centered.T).T)
    return float(-0.5 * (n * (d * math.log(2 * math.pi) + log_det) + squares))


def maximum_likelihood(x: Matrix, latents: int) -> tuple[Matrix, NDArray[np.float64], float]:
    """W = U (Λ − s² I)^½ for the leading eigenpairs, μ = x̄, s² the mean of the other values."""
    mean = x.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    noise_variance = values[latents:].mean()
    loadings = vectors[:, :latents] * np.sqrt(values[:latents] - noise_variance)
    return loadings, mean, math.sqrt(noise_variance)


def posterior(
    x: Matrix, loadings: Matrix, mean: NDArray[np.float64], noise: float
) -> tuple[Matrix, Matrix]:
    """Means of all zₙ, and the precision they share: M/s² with M = WᵀW + s² I."""
    m = loadings.T @ loadings + noise**2 * np.eye(loadings.shape[1])
    return np.linalg.solve(m, loadings.T @ (x - mean).T).T, m / noise**2


def example(n: int, columns: int, latents: int, seed: int = 0) -> Matrix:
    """Data of a random W with well separated columns and noise 0.5."""
    generator = np.random.default_rng(seed)
    scales = 2.0 ** -np.arange(latents)
    loadings = 2.0 * generator.normal(size=(columns, latents)) * scales
    z = generator.normal(size=(n, latents))
    return 1.0 + z @ loadings.T + 0.5 * generator.normal(size=(n, columns))
