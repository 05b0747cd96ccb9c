"""`FramedMean`: the mean-field normal whose mean is searched for in another frame of reference."""

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from amortis.families.diagonal import DiagonalNormal
from amortis.families.interface import AbstractFamily


class FramedMean(AbstractFamily):
    r"""Independent normals $u = a + B\alpha + e^{\rho}\epsilon$, raw parameters $(\alpha, \rho)$.

    No user chooses it. The sds of a mean-field normal say how sharp the posterior is with all other
    coordinates held, not how far its mean may still be off along a ridge. With B a root of the
    posterior's covariance all directions of the mean curve alike.

    Attributes:
        shift: a, shape (d,).
        root: B, shape (d, d), lower triangular with a positive diagonal.
    """

    shift: Float[Array, " d"]
    root: Float[Array, "d d"]

    @property
    def inner(self) -> DiagonalNormal:
        """The family in which `unframed` says the same."""
        return DiagonalNormal()

    @property
    def is_density(self) -> bool:
        return True

    @property
    def is_factorized(self) -> bool:
        return True

    def raw_size(self, dimension: int) -> int:
        return self.inner.raw_size(dimension)

    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        return self.inner.start(dimension, log_sd)

    def sample(self, raw: Float[Array, " raw"], noise: Float[Array, " d"]) -> Float[Array, " d"]:
        return self.inner.sample(self.unframed(raw), noise)

    @property
    def is_identified(self) -> bool:
        return True

    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        return self.inner.standardized(self.unframed(raw), value)

    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        return self.inner.draw(self.unframed(raw), noise)

    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        return self.inner.log_density(self.unframed(raw), value)

    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        return self.inner.moments(self.unframed(raw))

    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        return raw  # log s curves by 2 and the mean by 1

    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        return coordinates

    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        # In u the step of the diagonal normal; the mean of it is B alpha.
        of_mean, of_log_sd = jnp.split(gradient, 2)
        of_u = solve_triangular(self.root, of_mean, lower=True, trans=1)
        step = self.inner.natural_step(self.unframed(raw), jnp.concatenate([of_u, of_log_sd]))
        shift, change = jnp.split(step, 2)
        back = solve_triangular(self.root, shift, lower=True)
        return jnp.concatenate([back, change])

    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        # In alpha the ELBO is -|alpha - alpha*|^2 / 2 where B is right, in log s it curves by 2.
        shift, change = jnp.split(jnp.abs(gradient), 2)
        return jnp.max(shift, initial=0.0), jnp.max(0.5 * change, initial=0.0)

    def unframed(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        """Raw parameters of the same law in the inner family."""
        alpha, log_sd = jnp.split(raw, 2)
        return jnp.concatenate([self.shift + self.root @ alpha, log_sd])

    def framed(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        """The inverse of `unframed`."""
        mean, log_sd = jnp.split(raw, 2)
        alpha = solve_triangular(self.root, mean - self.shift, lower=True)
        return jnp.concatenate([alpha, log_sd])
