"""`Point`: a point estimate, which makes the fit variational EM."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis.families.interface import AbstractFamily


class Point(AbstractFamily):
    r"""A point mass for the globals: variational EM.

    The objective becomes $E_{q(z)}[\log p(x, z\mid\hat\theta)] + H[q(z)] + \log p(\hat\theta)$
    with the prior on the *constrained* scale (no log determinant), so that the estimate does not
    depend on how a support is mapped to the reals, and with a flat prior it is the maximum of a
    lower bound on the likelihood. Its entropy counts as zero.

    References:
        Neal & Hinton, *A view of the EM algorithm that justifies incremental, sparse, and other
        variants* (1998).
    """

    @property
    def is_density(self) -> bool:
        return False

    def raw_size(self, dimension: int) -> int:
        return dimension

    def noise_size(self, dimension: int) -> int:
        del dimension  # a point has no spread
        return 0

    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        del log_sd  # a point has no spread
        return jnp.zeros(dimension)

    def sample(
        self, raw: Float[Array, " raw"], noise: Float[Array, " noise"]
    ) -> Float[Array, " d"]:
        del noise  # a point has no spread
        return raw

    @property
    def is_factorized(self) -> bool:
        return True

    @property
    def is_identified(self) -> bool:
        return True

    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        return jnp.zeros_like(value)

    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        return self.sample(raw, noise), jnp.zeros((), raw.dtype)

    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        return jnp.zeros((), raw.dtype)

    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        return raw, jnp.zeros_like(raw)

    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        return raw

    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        return coordinates

    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        return gradient  # a point has no Fisher information of its own

    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        # A point has no scale to measure its distance by; the objective alone must settle.
        return jnp.zeros((), gradient.dtype), jnp.zeros((), gradient.dtype)
