"""`Joint`: a log joint density over whole arrays, all that this room knows of a model."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amortis._types import RandomKey, Scalar, Sites

AnyArray: TypeAlias = Array | np.ndarray
"""An array, traced or on the device or on the host."""

Arrays: TypeAlias = Mapping[str, AnyArray]
"""Data by name; NumPy arrays where the model needs numbers while it is traced."""


class AbstractLogJoint(ABC):
    """A model as a density: what a kind of model has to give to be looked into."""

    @abstractmethod
    def elements(self, latents: Sites, arrays: Arrays) -> Mapping[str, tuple[Array, ...]]:
        """Each site's log density, in nats, as arrays whose entries add up to it.

        The log determinant of a site's bijection is among them. The finer the entries, the better
        a jump in one of them stands out.
        """

    @abstractmethod
    def draw_prior(self, key: RandomKey, arrays: Arrays) -> Sites | None:
        """Unconstrained latents drawn from the prior given the data; None if it has no sampler."""

    def prior_mean(self, arrays: Arrays) -> Sites | None:
        """Unconstrained latents at the mean of the prior given the data; None if it is unknown."""
        del arrays
        return None


@dataclasses.dataclass(frozen=True)
class LatentAxis:
    """An axis of the latents along which units may lie, one unit of locals per position.

    Attributes:
        name: the plate's name, or that of the first site where no plate says what the axis is.
        size: number of units N.
        sites: for each latent site along the axis, which axis of its unconstrained value it is.
        declared: whether a plate, a `scan` or the user says that the entries are alike.
    """

    name: str
    size: int
    sites: Mapping[str, int]
    declared: bool


@dataclasses.dataclass(frozen=True)
class Joint:
    r"""$\log p(\theta, z, x)$ of all latents, unconstrained, and all arrays, as terms by site.

    Attributes:
        density: evaluates it, and draws latents from the prior.
        latents: unconstrained shape of each latent site.
        axes: axes of the latents along which local units may lie.
        arrays: the data, by name.
        constants: integer arrays that the model needs as numbers while it is traced, such as an
            index whose largest entry sizes a plate.
    """

    density: AbstractLogJoint
    latents: Mapping[str, tuple[int, ...]]
    axes: tuple[LatentAxis, ...]
    arrays: Mapping[str, Array]
    constants: Mapping[str, np.ndarray]

    @property
    def numbers(self) -> int:
        """How many numbers the latents and the data are."""
        latents = sum(math.prod(shape) for shape in self.latents.values())
        return latents + sum(array.size for array in self.arrays.values())

    def terms(self, latents: Sites, arrays: Arrays) -> dict[str, Scalar]:
        """Each site's log density in nats, with the log determinant of its bijection.

        Args:
            latents: unconstrained latents by site.
            arrays: the data, and the constants.
        """
        elements = self.density.elements(latents, arrays)
        return {
            name: sum((jnp.sum(part) for part in parts), jnp.zeros(()))
            for name, parts in elements.items()
        }
