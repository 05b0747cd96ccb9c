"""`PartlyPoint`: a family for some coordinates, point estimates for the others."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis.families.interface import AbstractFamily
from amortis.families.point import Point


class PartlyPoint(AbstractFamily):
    r"""$q(u) = q_0(u_D)\,\delta(u_P - \hat u_P)$: point estimates of the coordinates P alone.

    For models in which some globals have a prior and others, such as the weights of a network, are
    parameters without one. Its density is that of $q_0$; raw parameters of $q_0$ come first.

    Attributes:
        others: $q_0$.
        points: where P lies, as ranges of coordinates in increasing order.
    """

    others: AbstractFamily
    points: tuple[tuple[int, int], ...] = eqx.field(static=True)

    @property
    def count(self) -> int:
        """Number of point estimates."""
        return sum(end - start for start, end in self.points)

    @property
    def is_density(self) -> bool:
        return self.others.is_density

    @property
    def is_factorized(self) -> bool:
        return self.others.is_factorized

    @property
    def is_identified(self) -> bool:
        return self.others.is_identified

    def raw_size(self, dimension: int) -> int:
        return self.others.raw_size(dimension - self.count) + self.count

    def noise_size(self, dimension: int) -> int:
        return self.others.noise_size(dimension - self.count)

    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        dense = self.others.start(dimension - self.count, log_sd)
        return jnp.concatenate([dense, jnp.zeros(self.count, dense.dtype)])

    def sample(
        self, raw: Float[Array, " raw"], noise: Float[Array, " noise"]
    ) -> Float[Array, " d"]:
        dense, points = self._cut(raw)
        return self.joined(self.others.sample(dense, noise), points)

    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        dense, points = self._cut(raw)
        of_dense = self.others.standardized(dense, self.split(value)[0])
        return self.joined(of_dense, jnp.zeros_like(points))

    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        dense, points = self._cut(raw)
        value, entropy = self.others.draw(dense, noise)
        return self.joined(value, points), entropy

    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        return self.others.log_density(self._cut(raw)[0], self.split(value)[0])

    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        dense, points = self._cut(raw)
        mean, sd = self.others.moments(dense)
        return self.joined(mean, points), self.joined(sd, jnp.zeros_like(points))

    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        dense, points = self._cut(raw)
        return jnp.concatenate([self.others.coordinates(dense), points])

    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        dense, points = self._cut(coordinates)
        return jnp.concatenate([self.others.from_coordinates(dense), points])

    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        (dense, points), (of_dense, of_points) = self._cut(raw), self._cut(gradient)
        step = Point().natural_step(points, of_points)
        return jnp.concatenate([self.others.natural_step(dense, of_dense), step])

    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        return self.others.unsettled(self._cut(coordinates)[0], self._cut(gradient)[0])

    def split(self, value: Float[Array, " d"]) -> tuple[Float[Array, " dense"], Float[Array, " p"]]:
        """The coordinates of $q_0$, and the point estimates."""
        dense, points, at = [value[:0]], [value[:0]], 0
        for start, end in self.points:
            dense.append(value[at:start])
            points.append(value[start:end])
            at = end
        return jnp.concatenate([*dense, value[at:]]), jnp.concatenate(points)

    def joined(
        self, dense: Float[Array, " dense"], points: Float[Array, " p"]
    ) -> Float[Array, " d"]:
        """All coordinates again."""
        parts, at, used = [dense[:0]], 0, 0
        for start, end in self.points:
            free = start - at
            parts += [dense[used : used + free], points[: end - start]]
            points = points[end - start :]
            used, at = used + free, end
        return jnp.concatenate([*parts, dense[used:]])

    def _cut(self, raw: Float[Array, " raw"]) -> tuple[Array, Array]:
        return raw[: raw.shape[0] - self.count], raw[raw.shape[0] - self.count :]
