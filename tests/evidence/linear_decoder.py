"""A linear decoder with known weights: xₙ ~ N(W zₙ, s² I), zₙ ~ N(0, I), and all that it implies.

The posterior of a row is N(mₙ, Λ⁻¹) with Λ = I + WᵀW/s², so that log p(xₙ), the best factorized
Gaussian and the ELBO of any Gaussian factor are known.
"""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpy.typing import NDArray

from amortis import from_numpyro
from tests.exact_models import gaussian


@dataclasses.dataclass(frozen=True)
class LinearDecoder:
    weights: NDArray[np.float64]
    noise: float
    x: NDArray[np.float64]

    @classmethod
    def example(cls, rows, columns, latents, seed=0, scale=0.8):
        generator = np.random.default_rng(seed)
        weights = scale * generator.normal(size=(columns, latents))
        z = generator.normal(size=(rows, latents))
        return cls(weights, 1.0, z @ weights.T + generator.normal(size=(rows, columns)))

    @property
    def bound(self):
        weights, noise = jnp.asarray(self.weights, jnp.float32), jnp.float32(self.noise)
        latents = weights.shape[1]

        def model(x):
            with numpyro.plate("rows", x.shape[0]):
                z = numpyro.sample("z", dist.Normal(jnp.zeros(latents), 1.0).to_event(1))
                numpyro.sample("x", dist.Normal(z @ weights.T, noise).to_event(1), obs=x)

        return from_numpyro(model, self.x.astype(np.float32))

    @property
    def precision(self):
        latents = self.weights.shape[1]
        return np.eye(latents) + self.weights.T @ self.weights / self.noise**2

    @property
    def means(self):
        return np.linalg.solve(self.precision, self.weights.T @ self.x.T / self.noise**2).T

    @property
    def log_evidence(self):
        return self.log_evidence_of(self.x)

    def log_evidence_of(self, x):
        columns = x.shape[1]
        covariance = self.weights @ self.weights.T + self.noise**2 * np.eye(columns)
        square = np.sum(x * np.linalg.solve(covariance, x.T).T, axis=1)
        log_det = np.linalg.slogdet(covariance)[1]
        return -0.5 * (columns * math.log(2 * math.pi) + log_det + square)

    @property
    def family_gap(self):
        return gaussian.mean_field_gap(self.precision)

    def gap_of(self, raw):
        """KL of diagonal factors with these raw parameters, row by row."""
        mean, log_sd = np.split(np.asarray(raw, np.float64), 2, axis=1)
        pairs = zip(mean, np.exp(2 * log_sd), self.means, strict=True)
        return np.array([gaussian.kl_of_diagonal(m, v, at, self.precision) for m, v, at in pairs])
