"""Where searches for latents without rows begin, so that a poor mode is not all that is seen."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import NonFiniteDensityError
from amortis._types import RandomKey
from amortis.fitting.approximation import LogDensity, LogJoint, Negated
from amortis.optimise import Minimum, minimised
from amortis.structure import Arrays

_NEAR, _AFAR, _HALF_WIDTH = 2, 6, 2.0
"""Points around zero, and points uniform in (-2, 2), where Stan starts as well. On the
predator-prey data of posteriordb two of three of these lead to the mode that matters; zero and the
mean of the prior lead to one that has 40 nats less."""

_WIDE, _FAR = 8, 10.0
"""Draws of the prior, and half the width of where points lie in its place."""

_EVALUATIONS = 100


def highest_point(log_density: LogDensity, dimension: int, key: RandomKey) -> Float[Array, " d"]:
    """The highest point of those that short climbs from `start_points` lead to.

    Args:
        log_density: in nats.
        dimension: length of a vector.
        key: random key.

    Raises:
        NonFiniteDensityError: the log density is finite at no start.
    """
    ends = climbed(log_density, dimension, key)
    best = min(ends, key=lambda end: float(end.value))
    if not np.isfinite(float(best.value)):
        raise NonFiniteDensityError(
            f"the log density is not finite at any of {len(ends)} starts around unconstrained "
            f"zero; expected a finite one: rescale the data or tighten the priors"
        )
    return best.point


def climbed(
    log_density: LogDensity, dimension: int, key: RandomKey, *, widely: bool = False
) -> list[Minimum]:
    """Where short climbs from `start_points` lead, as minima of minus the log density.

    Args:
        log_density: in nats.
        dimension: length of a vector.
        key: random key.
        widely: whether to climb from draws of the prior as well.
    """
    starts = start_points(log_density, dimension, key)
    if widely:
        starts = np.vstack([starts, _wide_points(log_density, dimension, numerics.forked(key, 1))])
    return climbed_from(log_density, starts)


def start_points(
    log_density: LogDensity, dimension: int, key: RandomKey
) -> Float[np.ndarray, "points d"]:
    """Points around zero, further away, and the mean of the prior.

    Args:
        log_density: in nats; of a `LogJoint` the prior is known.
        dimension: length of a vector.
        key: random key.

    Returns:
        Points around zero, points that are uniform in (-2, 2), and the prior's mean, unless it is
        zero or unknown.
    """
    near, afar = numerics.normals(key, [(_NEAR, dimension), (_AFAR, dimension)])
    uniform = _HALF_WIDTH * (2.0 * np.asarray(numerics.uniform_of(afar)) - 1.0)
    mean = _prior_mean(log_density) if isinstance(log_density, LogJoint) else None
    points = np.vstack([0.1 * np.asarray(near), uniform])
    return points if mean is None or not mean.any() else np.vstack([points, mean])


def climbed_from(log_density: LogDensity, starts: Float[np.ndarray, "points d"]) -> list[Minimum]:
    """Where short climbs from some points lead, as minima of minus the log density.

    Args:
        log_density: in nats.
        starts: the points.
    """
    return [
        minimised(Negated(log_density), numerics.on_device(start), _EVALUATIONS) for start in starts
    ]


def _wide_points(
    log_density: LogDensity, dimension: int, key: RandomKey
) -> Float[np.ndarray, "points d"]:
    """Draws of the prior, whose scale is the user's own; uniform and wide where there is none."""
    drawn = _prior_draws(log_density, key) if isinstance(log_density, LogJoint) else None
    if drawn is not None:
        return drawn
    (normal,) = numerics.normals(key, [(_WIDE, dimension)])
    return _FAR * (2.0 * np.asarray(numerics.uniform_of(normal)) - 1.0)


def _prior_draws(log_joint: LogJoint, key: RandomKey) -> Float[np.ndarray, "points d"] | None:
    joint = log_joint.model.joint()

    def draw(key: RandomKey, arrays: Arrays) -> Array | None:
        sites = joint.density.draw_prior(key, {**arrays, **joint.constants})
        if sites is None:
            return None
        return jnp.concatenate([jnp.ravel(sites[name]) for name in log_joint.layout.shapes])

    drawn = jax.jit(draw, compiler_options=numerics.run_rarely(joint.numbers))
    try:
        each = [drawn(numerics.forked(key, i), dict(joint.arrays)) for i in range(_WIDE)]
    except NotImplementedError:
        return None  # a distribution of the user's that cannot be sampled
    points = [np.asarray(point, jnp.result_type(float)) for point in each if point is not None]
    return np.stack(points) if points else None


def _prior_mean(log_joint: LogJoint) -> Float[np.ndarray, " d"] | None:
    joint = log_joint.model.joint()

    def mean(arrays: Arrays) -> Array | None:
        sites = joint.density.prior_mean({**arrays, **joint.constants})
        if sites is None:
            return None
        return jnp.concatenate([jnp.ravel(sites[name]) for name in log_joint.layout.shapes])

    found = jax.jit(mean, compiler_options=numerics.run_rarely(joint.numbers))(dict(joint.arrays))
    return None if found is None else np.asarray(found, jnp.result_type(float))
