"""`Laplace`: the normal around the mode with the curvature there."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._errors import NotAnOptimumError
from amortis._require import require_count
from amortis._types import RandomKey
from amortis.families import FullRank
from amortis.fitting.approximation import (
    AbstractApproximation,
    Found,
    LogDensity,
    Negated,
    value_at,
)
from amortis.fitting.start_points import highest_point
from amortis.optimise import Status, minimised

_NEWTON, _SETTLED, _MOST_FALL = 30, 1e-4, 100.0


class Laplace(AbstractApproximation):
    r"""$N(\hat u, -H^{-1})$ with $\hat u$ the mode on the unconstrained scale, H the Hessian there.

    The mode depends on how a support is mapped to the reals, and so does the normal; of a
    hierarchical model there may be none. L-BFGS finds it and Newton steps settle it.

    Attributes:
        evaluations: of L-BFGS.

    Raises:
        ArgumentError: fewer than one evaluation.

    References:
        Tierney & Kadane, *Accurate approximations for posterior moments and marginal densities*
        (1986).
    """

    evaluations: int = eqx.field(static=True, default=500)

    def __check_init__(self) -> None:
        require_count("Laplace", "evaluations", self.evaluations)

    def find(self, log_density: LogDensity, dimension: int, *, key: RandomKey) -> Found:
        """Find the mode and the curvature there.

        Args:
            log_density: of unconstrained vectors, in nats up to a constant.
            dimension: length of the vectors.
            key: random key of the points that are started from.

        Raises:
            NonFiniteDensityError: the log density is finite at none of them.
            NotAnOptimumError: the log density does not curve down in every direction at its mode,
                or so little that its width is another.
        """
        start = highest_point(log_density, dimension, key)
        point = minimised(Negated(log_density), start, self.evaluations).point
        mode, root, decrement = settled(log_density, point)
        status = Status.CONVERGED if decrement < _SETTLED else Status.ITERATIONS_EXHAUSTED
        family = FullRank()
        return Found(family, family.gaussian(mode, root), status, self.evaluations)


@eqx.filter_jit
def _look(log_density: LogDensity, u: Float[Array, " d"]) -> tuple[Array, Array, Array]:
    """Value, slope and Hessian."""
    slope = jax.grad(log_density)
    along = lambda e: jax.jvp(slope, (u,), (e,))[1]  # noqa: E731
    eye = jnp.eye(u.shape[0], dtype=u.dtype)
    return log_density(u), slope(u), jax.lax.map(along, eye)


def settled(
    log_density: LogDensity, point: Float[Array, " d"]
) -> tuple[Float[Array, " d"], Float[Array, "d d"], float]:
    """Damped Newton steps, in double precision on the host, to the mode.

    Args:
        log_density: in nats.
        point: near the mode.

    Returns:
        The mode, the lower triangular root of the inverse of minus the Hessian there, and how far
        the last step would have led, in sds.

    Raises:
        NotAnOptimumError: the log density does not curve down in every direction, or is flat.
    """
    current = np.asarray(point, np.float64)
    root, decrement = np.eye(len(current)), np.inf
    for _ in range(_NEWTON):
        here, slope, hessian = (
            np.asarray(v, np.float64) for v in _look(log_density, _like(current, point))
        )
        root = _inverse_root(-0.5 * (hessian + hessian.T))
        step = root @ (root.T @ slope)
        decrement = float(slope @ step)
        if decrement < _SETTLED**2:
            break
        length = 1.0
        while length > 1e-4:
            tried = float(value_at(log_density, _like(current + length * step, point)))
            if np.isfinite(tried) and tried >= float(here):
                break
            length /= 2.0
        else:
            decrement = 0.0  # rounding: no step is better
            break
        current = current + length * step
    _require_width(log_density, current, root, point)
    return _like(current, point), _like(_lower(root), point), decrement**0.5


def _require_width(
    log_density: LogDensity, mode: np.ndarray, root: np.ndarray, point: Array
) -> None:
    """Refuse a mode so flat that its curvature says nothing of the width.

    A normal falls by half a nat one standard deviation from its mode.
    """
    top = float(value_at(log_density, _like(mode, point)))
    for column in root.T:
        both = [value_at(log_density, _like(mode + s * column, point)) for s in (-1.0, 1.0)]
        fall = top - float(np.fmax.reduce([*np.asarray(both), -np.inf]))
        if not fall < _MOST_FALL:
            raise NotAnOptimumError(
                f"the log density is so flat at its mode that the curvature there says nothing of "
                f"its width: it falls by {fall:.2g} nats, not by half a nat, within what would be "
                f"one sd; expected a mode like a normal's: take FullRank() or Flow()"
            )


def _like(value: np.ndarray, point: Array) -> Array:
    return jax.device_put(value.astype(point.dtype))


def _inverse_root(precision: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """R with R R' the inverse of a positive definite matrix, scaled so that it may be ill."""
    diagonal = np.diagonal(precision)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    scaled = scale[:, None] * precision * scale
    finite = np.isfinite(scaled).all()
    values, vectors = np.linalg.eigh(scaled if finite else -np.eye(len(scaled)))
    if not (finite and values.min() > 1e-12 and (diagonal > 0.0).all()):
        raise NotAnOptimumError(
            f"the log density does not curve down in every direction at its mode (smallest "
            f"curvature {np.min(values):.2g}), so that the covariance of Laplace() is singular; "
            f"expected a proper posterior: tighten flat priors, or take FullRank()"
        )
    return scale[:, None] * vectors / np.sqrt(values)


def _lower(root: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """The lower triangular root, with a positive diagonal, of the same covariance."""
    triangle = np.linalg.qr(root.T)[1].T
    return triangle * np.where(np.diagonal(triangle) < 0.0, -1.0, 1.0)
