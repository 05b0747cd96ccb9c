"""`LowRank`: the Gaussian whose covariance is diagonal plus a few directions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._require import require_count
from amortis.families.interface import AbstractFamily

_LONGEST_STEP = 2.0
_START = 1e-2


class LowRank(AbstractFamily):
    r"""A normal with covariance diagonal plus rank r, for d too large for `FullRank`.

    $u = m + \mathrm{diag}(s)(I + VV^\top)\epsilon$ with V of shape (d, r). The covariance
    $\mathrm{diag}(s)(I + V(2I + V^\top V)V^\top)\mathrm{diag}(s)$ is any diagonal plus any
    positive semidefinite matrix of rank r, and the noise has as many entries as u.
    $\log\det = \sum\log s + \log\det(I_r + V^\top V)$. Raw parameters are $(m, \log s, V)$.

    Attributes:
        rank: r, at least one and at most d.

    References:
        Ong, Nott & Smith, *Gaussian variational approximation with a factor covariance structure*
        (2018).
    """

    rank: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        require_count("LowRank", "rank", self.rank)

    @property
    def is_density(self) -> bool:
        return True

    def raw_size(self, dimension: int) -> int:
        if self.rank > dimension:
            raise ArgumentError(
                f"LowRank(rank={self.rank}) is for {dimension} dimensions; expected a rank of at "
                f"most {dimension}: lower it, or take FullRank()"
            )
        return (2 + self.rank) * dimension

    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        raw = np.zeros(self.raw_size(dimension))
        raw[dimension : 2 * dimension] = log_sd
        # V = 0 is stationary in V: small numbers, the same every time, leave it.
        size = raw.size - 2 * dimension
        raw[2 * dimension :] = _START * np.random.default_rng(0).standard_normal(size)
        return jax.device_put(raw.astype(jnp.result_type(float)))  # nothing to compile

    def sample(self, raw: Float[Array, " raw"], noise: Float[Array, " d"]) -> Float[Array, " d"]:
        mean, log_sd, turn = self._split(raw)
        return mean + jnp.exp(log_sd) * (noise + turn @ (turn.T @ noise))

    @property
    def is_factorized(self) -> bool:
        return False

    @property
    def is_identified(self) -> bool:
        return False  # a rotation of V leaves V V' as it is

    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        mean, log_sd, turn = self._split(raw)
        scaled = (value - mean) * jnp.exp(-log_sd)
        # Woodbury: (I + V V')^-1 = I - V (I + V' V)^-1 V'.
        small = jnp.eye(self.rank) + turn.T @ turn
        return scaled - turn @ jnp.linalg.solve(small, turn.T @ scaled)

    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        _, log_sd, turn = self._split(raw)
        return self.sample(raw, noise), numerics.entropy(log_sd) + self._log_det(turn)

    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        _, log_sd, turn = self._split(raw)
        noise = self.standardized(raw, value)
        zero = jnp.zeros_like(noise)
        return numerics.log_density(noise, zero, zero) - jnp.sum(log_sd) - self._log_det(turn)

    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        mean, log_sd, turn = self._split(raw)
        # Row j of I + V V' has the squared norm 1 + v_j' (2 I + V' V) v_j.
        small = 2.0 * jnp.eye(self.rank) + turn.T @ turn
        return mean, jnp.exp(log_sd) * jnp.sqrt(1.0 + jnp.sum((turn @ small) * turn, axis=1))

    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        d = self._dimension(raw)
        return jnp.concatenate([raw[:d], jnp.exp(raw[d : 2 * d]), raw[2 * d :]])

    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        d = self._dimension(coordinates)
        log_sd = jnp.log(jnp.abs(coordinates[d : 2 * d]))
        return jnp.concatenate([coordinates[:d], log_sd, coordinates[2 * d :]])

    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        # The Fisher information at V = 0: of the mean in sds 1, of log s 2; V as it is.
        d = self._dimension(raw)
        _, sd = self.moments(raw)
        shift = sd * jnp.clip(sd * gradient[:d], -_LONGEST_STEP, _LONGEST_STEP)
        rest = jnp.clip(0.5 * gradient[d:], -_LONGEST_STEP, _LONGEST_STEP)
        return jnp.concatenate([shift, rest])

    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        # As of the diagonal normal. Against V the ELBO is quadratic around a maximum of curvature
        # 2 |v|^2 or more, which at V = 0 says nothing: there the objective alone must settle.
        d = self._dimension(coordinates)
        sd = jnp.abs(coordinates[d : 2 * d])
        shift, change = jnp.abs(gradient[:d]) * sd, 0.5 * jnp.abs(gradient[d : 2 * d]) * sd
        return jnp.max(shift, initial=0.0), jnp.max(change, initial=0.0)

    def _dimension(self, raw: Float[Array, " raw"]) -> int:
        return raw.shape[0] // (2 + self.rank)

    def _split(
        self, raw: Float[Array, " raw"]
    ) -> tuple[Float[Array, " d"], Float[Array, " d"], Float[Array, "d rank"]]:
        d = self._dimension(raw)
        return raw[:d], raw[d : 2 * d], raw[2 * d :].reshape(d, self.rank)

    def _log_det(self, turn: Float[Array, "d rank"]) -> Float[Array, ""]:
        return jnp.linalg.slogdet(jnp.eye(self.rank) + turn.T @ turn)[1]
