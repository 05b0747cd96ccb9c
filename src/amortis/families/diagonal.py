"""`DiagonalNormal`: the mean-field Gaussian."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis.families.interface import AbstractFamily

_LONGEST_STEP = 2.0


class DiagonalNormal(AbstractFamily):
    r"""Independent normals: $u_j = m_j + e^{\rho_j}\epsilon_j$ with raw parameters $(m, \rho)$."""

    @property
    def is_density(self) -> bool:
        return True

    def raw_size(self, dimension: int) -> int:
        return 2 * dimension

    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        raw = np.concatenate([np.zeros(dimension), np.full(dimension, log_sd)])
        return jax.device_put(raw.astype(jnp.result_type(float)))  # nothing to compile

    def sample(self, raw: Float[Array, " raw"], noise: Float[Array, " d"]) -> Float[Array, " d"]:
        mean, log_sd = jnp.split(raw, 2)
        return mean + jnp.exp(log_sd) * noise

    @property
    def is_factorized(self) -> bool:
        return True

    @property
    def is_identified(self) -> bool:
        return True

    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        mean, log_sd = jnp.split(raw, 2)
        return (value - mean) * jnp.exp(-log_sd)

    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        return self.sample(raw, noise), numerics.entropy(jnp.split(raw, 2)[1])

    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        mean, log_sd = jnp.split(raw, 2)
        return numerics.log_density(value, mean, log_sd)

    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        mean, log_sd = jnp.split(raw, 2)
        return mean, jnp.exp(log_sd)

    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        # In s itself -log s + s^2 / 2s*^2 curves like the mean does, 2/s*^2 against 1/s*^2; in
        # log s it curves by 2, which for sharp globals of N rows is N times flatter than the rest.
        mean, log_sd = jnp.split(raw, 2)
        return jnp.concatenate([mean, jnp.exp(log_sd)])

    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        mean, sd = jnp.split(coordinates, 2)
        return jnp.concatenate([mean, jnp.log(jnp.abs(sd))])

    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        # The Fisher information of (m, log s) is diag(1/s^2, 2).
        sd = jnp.exp(jnp.split(raw, 2)[1])
        of_mean, of_log_sd = jnp.split(gradient, 2)
        longest = _LONGEST_STEP
        shift = sd * jnp.clip(sd * of_mean, -longest, longest)
        return jnp.concatenate([shift, jnp.clip(0.5 * of_log_sd, -longest, longest)])

    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        # Near the optimum the ELBO is -(m - m*)^2 / 2s^2 + log s - s^2 / 2s*^2, so that its slope
        # is (m* - m) / s^2 in m and 2 (s* - s) / s^2 in s.
        sd = jnp.abs(jnp.split(coordinates, 2)[1])
        shift, change = jnp.split(jnp.abs(gradient), 2)
        return jnp.max(shift * sd, initial=0.0), jnp.max(0.5 * change * sd, initial=0.0)
