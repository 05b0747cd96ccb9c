"""`FullRank`: the Gaussian with a free covariance."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from amortis import numerics
from amortis.families.interface import AbstractAffineFamily

_LONGEST_STEP = 2.0


class FullRank(AbstractAffineFamily):
    r"""A normal with any covariance: $u = m + L\epsilon$ with $L = \mathrm{diag}(s)(I + N)$.

    Raw parameters are $(m, \log s, N)$, the strictly lower triangular N row by row: scaled by
    s, its entries are of the order of correlations however sharp the factor is.
    $\log\det L = \sum_j \log s_j$. Note that $s_j$ is the sd of $u_j$ given the coordinates
    before it.

    References:
        Kucukelbir et al., *Automatic differentiation variational inference* (2017), §2.4.
    """

    @property
    def is_density(self) -> bool:
        return True

    def raw_size(self, dimension: int) -> int:
        return 2 * dimension + dimension * (dimension - 1) // 2

    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        raw = np.zeros(self.raw_size(dimension))
        raw[dimension : 2 * dimension] = log_sd
        return jax.device_put(raw.astype(jnp.result_type(float)))  # nothing to compile

    def sample(self, raw: Float[Array, " raw"], noise: Float[Array, " d"]) -> Float[Array, " d"]:
        mean, log_sd, below = split_full_rank(raw)
        return mean + jnp.exp(log_sd) * (noise + below @ noise)

    @property
    def is_factorized(self) -> bool:
        return False

    @property
    def is_identified(self) -> bool:
        return True

    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        mean, log_sd, below = split_full_rank(raw)
        scaled = (value - mean) * jnp.exp(-log_sd)
        unit = below + jnp.eye(mean.shape[0], dtype=raw.dtype)
        return solve_triangular(unit, scaled, lower=True, unit_diagonal=True)

    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        return self.sample(raw, noise), numerics.entropy(split_full_rank(raw)[1])

    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        noise, log_sd = self.standardized(raw, value), split_full_rank(raw)[1]
        zero = jnp.zeros_like(noise)
        return numerics.log_density(noise, zero, zero) - jnp.sum(log_sd)

    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        mean, log_sd, below = split_full_rank(raw)
        return mean, jnp.exp(log_sd) * jnp.sqrt(1.0 + jnp.sum(jnp.square(below), axis=1))

    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        # As of the diagonal normal; in the frame of the optimum N curves like the mean does.
        d = full_rank_dimension(raw.shape[0])
        return jnp.concatenate([raw[:d], jnp.exp(raw[d : 2 * d]), raw[2 * d :]])

    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        d = full_rank_dimension(coordinates.shape[0])
        log_sd = jnp.log(jnp.abs(coordinates[d : 2 * d]))
        return jnp.concatenate([coordinates[:d], log_sd, coordinates[2 * d :]])

    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        # Of L = L0 (I + A), A lower triangular, the Fisher information at A = 0 is 2 on the
        # diagonal and 1 below it; of the mean in units of L0 it is 1.
        mean, log_sd, below = split_full_rank(raw)
        root = jnp.exp(log_sd)[:, None] * (below + jnp.eye(mean.shape[0]))
        g_mean, g_log_sd, g_below = split_full_rank(gradient)
        # L_ij = s_i (I + N)_ij: of a change dL the diagonal is s d log s, and below it dN_ij is
        # dL_ij / s_i - N_ij d log s_i; the gradient in L follows.
        inverse = jnp.exp(-log_sd)
        g_diagonal = (g_log_sd - jnp.sum(g_below * below, axis=1)) * inverse
        g_root = g_below * inverse[:, None] + jnp.diag(g_diagonal)
        along = jnp.tril(root.T @ g_root) / (1.0 + jnp.eye(mean.shape[0]))
        along = jnp.clip(along, -_LONGEST_STEP, _LONGEST_STEP)
        change = root @ along
        d_log_sd = jnp.diagonal(change) * inverse
        d_below = jnp.tril(change * inverse[:, None] - d_log_sd[:, None] * below, -1)
        shift = root @ jnp.clip(root.T @ g_mean, -_LONGEST_STEP, _LONGEST_STEP)
        return jnp.concatenate([shift, d_log_sd, d_below[np.tril_indices(mean.shape[0], -1)]])

    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        # The shift still to come is L L' g, which in units of L is L' g; s as of the diagonal one.
        d = full_rank_dimension(coordinates.shape[0])
        raw = self.from_coordinates(coordinates)
        _, log_sd, below = split_full_rank(raw)
        scaled = jnp.exp(log_sd) * gradient[:d]
        shift = scaled + below.T @ scaled
        change = 0.5 * gradient[d : 2 * d] * jnp.exp(log_sd)
        turned = gradient[2 * d :]
        largest = jnp.maximum(
            jnp.max(jnp.abs(change), initial=0.0), jnp.max(jnp.abs(turned), initial=0.0)
        )
        return jnp.max(jnp.abs(shift), initial=0.0), largest

    def gaussian(self, mean: Float[Array, " d"], root: Float[Array, "d d"]) -> Float[Array, " raw"]:
        return full_rank_raw(mean, root)

    def mapped(
        self, raw: Float[Array, " raw"], shift: Float[Array, " d"], root: Float[Array, "d d"]
    ) -> Float[Array, " raw"]:
        mean, own = full_rank_parts(raw)
        return full_rank_raw(shift + root @ mean, root @ own)


def full_rank_dimension(raw_size: int) -> int:
    """The d for which a full-rank normal has so many raw parameters."""
    return (math.isqrt(9 + 8 * raw_size) - 3) // 2


def split_full_rank(
    raw: Float[Array, " raw"],
) -> tuple[Float[Array, " d"], Float[Array, " d"], Float[Array, "d d"]]:
    """Mean, log s, and N as a strictly lower triangular matrix."""
    d = full_rank_dimension(raw.shape[0])
    below = jnp.zeros((d, d), raw.dtype).at[np.tril_indices(d, -1)].set(raw[2 * d :])
    return raw[:d], raw[d : 2 * d], below


def full_rank_parts(raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Mean, and the root L of the covariance."""
    mean, log_sd, below = split_full_rank(raw)
    return mean, jnp.exp(log_sd)[:, None] * (below + jnp.eye(mean.shape[0], dtype=raw.dtype))


def full_rank_raw(mean: Float[Array, " d"], root: Float[Array, "d d"]) -> Float[Array, " raw"]:
    """Raw parameters of a mean and a root L, lower triangular with a positive diagonal."""
    scale = jnp.diagonal(root)
    below = (root / scale[:, None])[np.tril_indices(mean.shape[0], -1)]
    return jnp.concatenate([mean, jnp.log(scale), below])
