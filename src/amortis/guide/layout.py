"""Sites laid end to end in one vector, and back."""

import math
from collections.abc import Container, Mapping

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class SiteLayout(eqx.Module):
    """Where each site's unconstrained values lie in a vector.

    Attributes:
        shapes: shape of each site, in order.
    """

    shapes: Mapping[str, tuple[int, ...]] = eqx.field(static=True)

    @property
    def dimension(self) -> int:
        """Length of the vector."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def names(self) -> tuple[str, ...]:
        """What each coordinate is, such as `tau` or `b[2]`."""
        return tuple(
            f"{site}[{', '.join(map(str, at))}]" if at else site
            for site, shape in self.shapes.items()
            for at in np.ndindex(*shape)
        )

    def size_of(self, site: str) -> int:
        """Number of coordinates of a site."""
        return math.prod(self.shapes[site])

    def ranges(self, sites: Container[str]) -> tuple[tuple[int, int], ...]:
        """Where these sites lie: the longest runs of their coordinates, in order."""
        runs: list[tuple[int, int]] = []
        start = 0
        for name in self.shapes:
            end = start + self.size_of(name)
            if name in sites and runs and runs[-1][1] == start:
                runs[-1] = (runs[-1][0], end)
            elif name in sites and end > start:
                runs.append((start, end))
            start = end
        return tuple(runs)

    def split(self, vector: Float[Array, "... d"]) -> dict[str, Float[Array, "..."]]:
        """Cut the last axis into sites; axes before it stay in front of each site's shape."""
        sites: dict[str, Array] = {}
        start = 0
        for name, shape in self.shapes.items():
            size = math.prod(shape)
            part = vector[..., start : start + size]
            sites[name] = jnp.reshape(part, (*vector.shape[:-1], *shape))
            start += size
        return sites

    def join(self, sites: Mapping[str, Float[Array, "..."]]) -> Float[Array, "... d"]:
        """Lay the sites of `split` end to end again."""
        parts = [
            jnp.reshape(sites[name], (*sites[name].shape[: sites[name].ndim - len(shape)], -1))
            for name, shape in self.shapes.items()
        ]
        return jnp.concatenate(parts, axis=-1) if parts else jnp.zeros(0)
