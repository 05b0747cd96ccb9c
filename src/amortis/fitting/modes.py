"""The modes of a posterior without rows, each with the normal around it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._errors import NotAnOptimumError
from amortis._types import RandomKey
from amortis.fitting.approximation import LogDensity, value_at
from amortis.fitting.laplace import settled
from amortis.fitting.start_points import climbed

_SAME = 0.5
"""Distance in sds up to which two climbs have ended in the same mode."""


@dataclasses.dataclass(frozen=True)
class Mode:
    r"""A mode with the normal that has its curvature.

    Attributes:
        point: where it is.
        root: lower triangular, with $LL^\top$ the inverse of minus the Hessian there.
        log_mass: log of the Laplace approximation to its share of the evidence, in nats,
            $\log p(\hat u) + \tfrac d2\log 2\pi + \log\det L$.
    """

    point: Float[np.ndarray, " d"]
    root: Float[np.ndarray, "d d"]
    log_mass: float


def modes_of(log_density: LogDensity, dimension: int, key: RandomKey) -> tuple[Mode, ...]:
    """The modes that climbs from several points lead to, from the one with the most mass on.

    Modes without a normal, as at the tip of a funnel or along a ridge, are left out.

    Args:
        log_density: of unconstrained vectors, in nats up to a constant.
        dimension: length of a vector.
        key: random key of the points.
    """
    ends = [
        end.point
        for end in climbed(log_density, dimension, key, widely=True)
        if np.isfinite(end.value)
    ]
    return distinct_modes(log_density, ends)


def distinct_modes(log_density: LogDensity, points: list[Float[Array, " d"]]) -> tuple[Mode, ...]:
    """The modes next to points, each once, from the one with the most mass on.

    Args:
        log_density: in nats up to a constant.
        points: near modes.
    """
    found: list[Mode] = []
    for point in points:
        try:
            at, root, _ = settled(log_density, point)
        except NotAnOptimumError:
            continue
        mode = _mode(log_density, at, root)
        if not any(is_same(mode, known) for known in found):
            found.append(mode)
    return tuple(sorted(found, key=lambda mode: -mode.log_mass))


def _mode(log_density: LogDensity, at: jax.Array, root: jax.Array) -> Mode:
    scale = np.asarray(root, np.float64)
    half_log_det = float(np.sum(np.log(np.diagonal(scale))))
    top = float(value_at(log_density, jnp.asarray(at)))
    log_mass = top + 0.5 * len(scale) * np.log(2.0 * np.pi) + half_log_det
    return Mode(np.asarray(at, np.float64), scale, log_mass)


def is_same(one: Mode, other: Mode) -> bool:
    """Whether two climbs have ended in one mode."""
    apart = np.linalg.solve(other.root, one.point - other.point)
    return bool(np.linalg.norm(apart) < _SAME)
