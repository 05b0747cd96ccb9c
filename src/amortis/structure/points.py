"""Where a density is probed, and where its latents and data are moved to from there."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amortis.structure.joint import Joint, LatentAxis
from amortis.structure.relaxing import relaxed

SCALES = (1.5, 0.5, 3.0)
"""Half-widths of the uniform points' laws. The widest matters: at a short length-scale, which a
narrow law draws, distant entries of a Gaussian process look independent in 32 bit."""

_BEYOND = 3.0
"""Locals of one point lie on the line through two draws from the prior, so many differences beyond
the second: terms that act in the tails of the prior are met there."""

_TRIES = 5
"""How often a point is drawn until the density is finite there."""


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


def draw_points(
    joint: Joint, axis: LatentAxis, generator: np.random.Generator
) -> Iterator[Iterator[Point]]:
    """The points to probe at, each as a sequence of tries of which the first good one is taken.

    Points from the prior come first, since its scales are the model's own; then points that are
    uniform around zero on the unconstrained scale, where the prior may never go but data lead.

    Args:
        joint: the density.
        axis: the axis of the units.
        generator: of the draws.
    """
    prior = _Prior(joint, generator)
    if prior.known:
        yield (_prior_point(joint, axis, generator, prior, 0.0) for _ in range(_TRIES))
    yield _uniform_points(joint, axis, generator, SCALES[0])
    if prior.known:
        yield (_prior_point(joint, axis, generator, prior, _BEYOND) for _ in range(_TRIES))
    for scale in SCALES[1:]:
        yield _uniform_points(joint, axis, generator, scale)
    if prior.known:
        yield (_prior_point(joint, axis, generator, prior, 0.0) for _ in range(_TRIES))


class _Prior:
    """Draws unconstrained latents from the prior, by one compiled function."""

    def __init__(self, joint: Joint, generator: np.random.Generator) -> None:
        self._joint, self._generator = joint, generator

        def draw(key: Array, arrays: dict[str, Array]) -> dict[str, Array] | None:
            drawn = joint.density.draw_prior(key, {**arrays, **joint.constants})
            return None if drawn is None else dict(drawn)

        self._draw = jax.jit(draw)
        self.known = self._is_known()

    def _is_known(self) -> bool:
        try:
            shape = jax.eval_shape(self._draw, jax.random.key(0), dict(self._joint.arrays))
        except NotImplementedError:
            return False  # a distribution of the user's that cannot be sampled
        return shape is not None

    def __call__(self) -> dict[str, Array]:
        key = jax.random.key(int(self._generator.integers(2**31)))
        drawn = self._draw(key, dict(self._joint.arrays))
        assert drawn is not None  # `known` was asked first
        return drawn


def _prior_point(
    joint: Joint,
    axis: LatentAxis,
    generator: np.random.Generator,
    prior: _Prior,
    beyond: float,
) -> Point:
    """A point drawn from the prior; its locals beyond a draw, seen from another one."""

    def draw() -> dict[str, Array]:
        one, other = prior(), prior() if beyond else {}
        for name in axis.sites:
            if beyond:
                one[name] = one[name] + beyond * (one[name] - other[name])
        return _units_first(axis, one)

    values, others = draw(), draw()
    directions = _normal({n: v.shape for n, v in values.items()}, generator)
    return _point(axis, values, others, directions)


def _uniform_points(
    joint: Joint, axis: LatentAxis, generator: np.random.Generator, scale: float
) -> Iterator[Point]:
    """Points with unconstrained latents uniform in [-scale, scale], and then in narrower boxes."""
    local = {n: (axis.size, *_without(joint.latents[n], a)) for n, a in axis.sites.items()}
    shapes = dict(joint.latents) | local
    for halvings in range(_TRIES):
        width = scale / 2.0**halvings
        values, others = _uniform(shapes, generator, width), _uniform(shapes, generator, width)
        yield _point(axis, values, others, _normal(shapes, generator))


def _point(
    axis: LatentAxis,
    values: Mapping[str, Array],
    others: dict[str, Array],
    directions: dict[str, Array],
) -> Point:
    fixed = {n: v for n, v in values.items() if n not in axis.sites}
    return Point(fixed, {n: values[n] for n in axis.sites}, others, directions)


def _units_first(axis: LatentAxis, values: Mapping[str, Array]) -> dict[str, Array]:
    moved = {n: jnp.moveaxis(values[n], a, 0) for n, a in axis.sites.items()}
    return {**values, **moved}


def _uniform(
    shapes: Mapping[str, tuple[int, ...]], generator: np.random.Generator, width: float
) -> dict[str, Array]:
    dtype = jnp.result_type(float)
    return {
        n: jnp.asarray(generator.uniform(-width, width, s).astype(dtype)) for n, s in shapes.items()
    }


def _normal(
    shapes: Mapping[str, tuple[int, ...]], generator: np.random.Generator
) -> dict[str, Array]:
    dtype = jnp.result_type(float)
    return {n: jnp.asarray(generator.normal(size=s).astype(dtype)) for n, s in shapes.items()}


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
