"""Where a density is probed, and where its latents and data are moved to from there."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amortis.structure.joint import Joint, LatentAxis
from amortis.structure.relaxing import relaxed


class Point(NamedTuple):
    """Values of the latents; by site, units first for those along the axis.

    Attributes:
        fixed: latents off the axis.
        z: latents of the units.
        others: where either moves to.
        directions: along which derivatives of either are taken.
    """

    fixed: dict[str, Array]
    z: dict[str, Array]
    others: dict[str, Array]
    directions: dict[str, Array]


class Data(NamedTuple):
    """The data by name.

    Attributes:
        floats: arrays that have derivatives.
        integers: arrays that have none.
        others: where either moves to.
        directions: along which derivatives of the first are taken.
    """

    floats: dict[str, Array]
    integers: dict[str, Array]
    others: dict[str, Array]
    directions: dict[str, Array]


def draw_point(
    joint: Joint, axis: LatentAxis, generator: np.random.Generator, scale: float
) -> Point:
    """A point with unconstrained latents uniform in [-scale, scale]."""
    dtype = jnp.result_type(float)

    def uniform(shape: tuple[int, ...]) -> Array:
        return jnp.asarray(generator.uniform(-scale, scale, shape).astype(dtype))

    def normal(shape: tuple[int, ...]) -> Array:
        return jnp.asarray(generator.normal(size=shape).astype(dtype))

    local = {n: (axis.size, *_without(joint.latents[n], a)) for n, a in axis.sites.items()}
    shapes = dict(joint.latents) | local
    values = {n: uniform(s) for n, s in shapes.items()}
    return Point(
        {n: v for n, v in values.items() if n not in local},
        {n: values[n] for n in local},
        {n: uniform(s) for n, s in shapes.items()},
        {n: normal(s) for n, s in shapes.items()},
    )


def draw_data(joint: Joint, generator: np.random.Generator) -> Data:
    """The model's own data, and other values that are still in the support of its sites."""
    floats, integers = relaxed(joint)
    return Data(
        floats,
        integers,
        {n: _elsewhere(v, generator) for n, v in (floats | integers).items()},
        {n: _direction(v, generator) for n, v in floats.items()},
    )


def _elsewhere(value: Array, generator: np.random.Generator) -> Array:
    """Another value for every entry, from the same column."""
    old = np.asarray(value)
    if old.ndim == 0:
        return jnp.asarray(_next(old))
    new = old[generator.permutation(old.shape[0])]
    return jnp.asarray(np.where(new == old, _next(old), new))


def _next(old: np.ndarray) -> np.ndarray:
    """A value near by of the same kind: one less, or one more than zero; a little smaller."""
    if old.dtype.kind == "b":
        return ~old
    if old.dtype.kind in "iu" or np.array_equal(old, np.round(old)):
        return np.where(old > 0, old - 1, old + 1).astype(old.dtype)
    return np.where(old == 0, 0.1, 0.9 * old).astype(old.dtype)


def _direction(value: Array, generator: np.random.Generator) -> Array:
    scale = np.std(np.asarray(value, np.float64)) or 1.0
    noise = generator.normal(size=value.shape) * scale
    return jnp.asarray(noise.astype(value.dtype))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
