"""Sites laid end to end in one vector, and back."""

import math
from collections.abc import Mapping

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
