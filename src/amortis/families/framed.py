"""`Framed`: a family searched for in another affine frame of reference."""

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from amortis.families.interface import AbstractAffineFamily, AbstractFamily


class Framed(AbstractFamily):
    r"""The law of $a + Bu$ with u from another family.

    No user chooses it. Near a good guess of mean and covariance, what is left to find is close to a
    standard normal, and all directions of its raw parameters curve alike, whatever the condition of
    the posterior. Since the family does not leave affine maps, `unframed` says the same in it.

    Attributes:
        inner: the family.
        shift: a, shape (d,).
        root: B, shape (d, d), lower triangular with a positive diagonal.
    """

    inner: AbstractAffineFamily
    shift: Float[Array, " d"]
    root: Float[Array, "d d"]

    @property
    def is_density(self) -> bool:
        return self.inner.is_density

    def raw_size(self, dimension: int) -> int:
        return self.inner.raw_size(dimension)

    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        return self.inner.start(dimension, log_sd)

    def sample(self, raw: Float[Array, " raw"], noise: Float[Array, " d"]) -> Float[Array, " d"]:
        return self.shift + self.root @ self.inner.sample(raw, noise)

    @property
    def is_factorized(self) -> bool:
        return False

    @property
    def is_identified(self) -> bool:
        return self.inner.is_identified

    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        return self.inner.standardized(raw, self._inner(value))

    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        value, entropy = self.inner.draw(raw, noise)
        return self.shift + self.root @ value, entropy + self._log_det

    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        return self.inner.log_density(raw, self._inner(value)) - self._log_det

    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        return self.inner.moments(self.unframed(raw))

    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        return self.inner.coordinates(raw)

    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        return self.inner.from_coordinates(coordinates)

    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        return self.inner.natural_step(raw, gradient)

    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        return self.inner.unsettled(coordinates, gradient)

    def unframed(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        """Raw parameters of the same law in the inner family."""
        return self.inner.mapped(raw, self.shift, self.root)

    def framed(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        """The inverse of `unframed`."""
        inverse = solve_triangular(self.root, jnp.eye(self.shift.shape[0]), lower=True)
        return self.inner.mapped(raw, -inverse @ self.shift, inverse)

    def _inner(self, value: Float[Array, " d"]) -> Float[Array, " d"]:
        return solve_triangular(self.root, value - self.shift, lower=True)

    @property
    def _log_det(self) -> Float[Array, ""]:
        return jnp.sum(jnp.log(jnp.diagonal(self.root)))
