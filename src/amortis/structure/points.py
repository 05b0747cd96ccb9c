"""Where a density is probed, and where its latents and data are moved to from there."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amortis.numerics import run_rarely
from amortis.structure.joint import AnyArray, Joint, LatentAxis

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

    fixed: Mapping[str, AnyArray]
    z: Mapping[str, AnyArray]
    others: Mapping[str, AnyArray]
    directions: Mapping[str, AnyArray]


class Tries(NamedTuple):
    """Draws of one point, of which the first good one is taken.

    Attributes:
        data: which of the data of `draw_data` it goes with, if the density is finite with them.
        points: the draws.
    """

    data: int
    points: Iterator[Point]


class Prior:
    """Draws unconstrained latents from the prior, by one compiled function, onto the host."""

    def __init__(self, joint: Joint) -> None:
        self._joint = joint

        def draw(seed: int | Array, arrays: Any) -> Any:
            latents = joint.density.draw_prior(jax.random.key(seed), {**arrays, **joint.constants})
            return None if latents is None else dict(latents)

        self._draw = jax.jit(draw, compiler_options=run_rarely(joint.numbers))
        self.known = self._is_known()

    def _is_known(self) -> bool:
        try:
            return jax.eval_shape(self._draw, 0, dict(self._joint.arrays)) is not None
        except NotImplementedError:
            return False  # a distribution of the user's that cannot be sampled

    def __call__(self, generator: np.random.Generator) -> dict[str, np.ndarray]:
        seed = int(generator.integers(2**31))
        return jax.device_get(self._draw(seed, dict(self._joint.arrays)))


def draw_points(
    joint: Joint, axis: LatentAxis, prior: Prior, generator: np.random.Generator
) -> Iterator[Tries]:
    """The points to probe at.

    Points from the prior bring in the model's own scales; points that are uniform around zero on
    the unconstrained scale, or over the range of the data, are where a prior that is improper, or
    wrong, does not go.

    Args:
        joint: the density.
        axis: the axis of the units.
        prior: draws latents.
        generator: of the draws.
    """

    def from_prior(globals_beyond: float, locals_beyond: float, data: int) -> Tries:
        stretch = _Stretch(globals_beyond, locals_beyond)
        points = (_prior_point(joint, axis, generator, prior, stretch) for _ in range(_TRIES))
        return Tries(data, points)

    def uniform(scale: float, data: int = 0) -> Tries:
        return Tries(data, _uniform_points(joint, axis, generator, scale))

    if prior.known:
        yield from_prior(0.0, 0.0, 0)
    yield uniform(SCALES[0])
    if prior.known:
        yield from_prior(0.0, _BEYOND, 1)
    yield uniform(SCALES[1])
    yield uniform(SCALES[2], 0 if prior.known else 1)
    if prior.known:
        yield from_prior(0.0, 0.0, 0)
        yield from_prior(1.0, 1.0, 1)
    low, high = _range_of(joint)
    if max(abs(low), abs(high)) > SCALES[2]:
        yield Tries(0, _uniform_points(joint, axis, generator, SCALES[1], (low, high)))


class _Stretch(NamedTuple):
    """How many differences between two draws from the prior a point lies beyond one of them."""

    globals_: float
    locals_: float


def _prior_point(
    joint: Joint,
    axis: LatentAxis,
    generator: np.random.Generator,
    prior: Prior,
    stretch: _Stretch,
) -> Point:
    """A point drawn from the prior, or beyond a draw, seen from another one."""

    def draw() -> dict[str, np.ndarray]:
        one = prior(generator)
        if stretch == (0.0, 0.0):
            return _units_first(axis, one)
        other = prior(generator)
        for name, value in one.items():
            times = stretch.locals_ if name in axis.sites else stretch.globals_
            one[name] = np.asarray(value + times * (value - other[name]))
        return _units_first(axis, one)

    values, others = draw(), draw()
    directions = _normal({n: v.shape for n, v in values.items()}, generator)
    return _point(axis, values, others, directions)


def _range_of(joint: Joint) -> tuple[float, float]:
    """The smallest and the largest of all real data; zeros if there are none."""
    real = [v for v in joint.arrays.values() if v.size and jnp.issubdtype(v.dtype, jnp.floating)]
    return min((float(v.min()) for v in real), default=0.0), max(
        (float(v.max()) for v in real), default=0.0
    )


def _uniform_points(
    joint: Joint,
    axis: LatentAxis,
    generator: np.random.Generator,
    scale: float,
    around: tuple[float, float] | None = None,
) -> Iterator[Point]:
    """Points with unconstrained latents uniform in [-scale, scale], and then in narrower boxes.

    Locals are uniform in `around` where it is given, and then in a part of it.
    """
    local = {n: (axis.size, *_without(joint.latents[n], a)) for n, a in axis.sites.items()}
    shapes = dict(joint.latents) | local
    for halvings in range(_TRIES):
        width = scale / 2.0**halvings
        values, others = _uniform(shapes, generator, width), _uniform(shapes, generator, width)
        if around is not None:
            middle, half = 0.5 * (around[0] + around[1]), 0.5 * (around[1] - around[0])
            for name, drawn in itertools.product(local, (values, others)):
                shift = middle + (half / scale) * drawn[name]
                drawn[name] = np.asarray(shift, drawn[name].dtype)
        yield _point(axis, values, others, _normal(shapes, generator))


def _point(
    axis: LatentAxis,
    values: Mapping[str, AnyArray],
    others: Mapping[str, AnyArray],
    directions: Mapping[str, AnyArray],
) -> Point:
    fixed = {n: v for n, v in values.items() if n not in axis.sites}
    return Point(fixed, {n: values[n] for n in axis.sites}, others, directions)


def _units_first(axis: LatentAxis, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    moved = {n: np.moveaxis(values[n], a, 0) for n, a in axis.sites.items()}
    return {**values, **moved}


def _uniform(
    shapes: Mapping[str, tuple[int, ...]], generator: np.random.Generator, width: float
) -> dict[str, np.ndarray]:
    dtype = jnp.result_type(float)
    return {n: generator.uniform(-width, width, s).astype(dtype) for n, s in shapes.items()}


def _normal(
    shapes: Mapping[str, tuple[int, ...]], generator: np.random.Generator
) -> Mapping[str, AnyArray]:
    dtype = jnp.result_type(float)
    return {n: generator.normal(size=s).astype(dtype) for n, s in shapes.items()}


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
