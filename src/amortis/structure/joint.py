"""`Joint`: a log joint density over whole arrays, all that this room knows of a model."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Array

from amortis._types import Scalar, Sites

Arrays: TypeAlias = Mapping[str, Array | np.ndarray]
"""Data by name; NumPy arrays where the model needs numbers while it is traced."""

Terms: TypeAlias = Callable[[Sites, Arrays], Mapping[str, Scalar]]


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
        terms: maps latents by site, and arrays and constants by name, to each site's log density
            in nats with the log determinant of the site's bijection.
        latents: unconstrained shape of each latent site.
        axes: axes of the latents along which local units may lie.
        arrays: the data, by name.
        constants: integer arrays that the model needs as numbers while it is traced, such as an
            index whose largest entry sizes a plate.
    """

    terms: Terms
    latents: Mapping[str, tuple[int, ...]]
    axes: tuple[LatentAxis, ...]
    arrays: Mapping[str, Array]
    constants: Mapping[str, np.ndarray]
