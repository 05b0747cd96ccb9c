"""Targets with a point of symmetry, of light and of heavy tails, and skewed ones without."""

import dataclasses
import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, logsumexp
from jaxtyping import Array
from scipy import special

CENTER = 1.7
"""Where the symmetric targets are, so that no search begins there."""

_LOG_ROOT = 0.5 * math.log(2 * math.pi)
_SKEW, _SHAPE = 4.0, 0.5
_WEIGHT, _FAR, _WIDE = 0.3, 3.0, 1.5
_DEGREES, _CORRELATION, _SCALES = 5.0, 0.7, (1.0, 2.0)


@dataclasses.dataclass(frozen=True)
class Shape:
    """A normalized target.

    Attributes:
        name: what it is called.
        symmetric: whether it has a point of even symmetry.
        log_density: of a vector u, in nats.
        mean: of each coordinate; where it has none, the point of symmetry.
        spread: sd of each coordinate; where it has none, the interquartile range over that of a
            standard normal.
    """

    name: str
    symmetric: bool
    log_density: Callable[[Array], Array]
    mean: tuple[float, ...]
    spread: tuple[float, ...]


def shapes() -> tuple[Shape, ...]:
    """All targets, the symmetric ones first."""
    skewness = _SKEW / math.sqrt(1 + _SKEW**2)
    mixed = _WEIGHT * (1 - _WEIGHT) * _FAR**2 + (1 - _WEIGHT) + _WEIGHT * _WIDE**2
    wide = tuple(s * math.sqrt(_DEGREES / (_DEGREES - 2)) for s in _SCALES)
    return (
        _symmetric("Gaussian", lambda r: -0.5 * r * r - _LOG_ROOT, 1.0),
        _symmetric("Laplace", lambda r: -jnp.abs(r) - math.log(2), math.sqrt(2)),
        _symmetric("Student t, 3", lambda r: student(r, 3.0), math.sqrt(3)),
        _symmetric("Cauchy", lambda r: student(r, 1.0), 2 / 1.349),
        _symmetric("two modes, near", _two_modes(1.5), math.hypot(1.0, 1.5)),
        _symmetric("two modes, far", _two_modes(4.0), math.hypot(1.0, 4.0)),
        Shape("Student t, 5, in 2-d", True, _elliptical, (CENTER, -CENTER), wide),
        Shape(
            "skew-normal",
            False,
            lambda u: _of(u, lambda x: math.log(2) - 0.5 * x * x - _LOG_ROOT + log_ndtr(_SKEW * x)),
            (skewness * math.sqrt(2 / math.pi),),
            (math.sqrt(1 - 2 * skewness**2 / math.pi),),
        ),
        Shape(
            "log-gamma",
            False,
            lambda u: _of(u, lambda x: _SHAPE * x - jnp.exp(x) - math.lgamma(_SHAPE)),
            (float(special.digamma(_SHAPE)),),
            (float(np.sqrt(special.polygamma(1, _SHAPE))),),
        ),
        Shape(
            "uneven mixture",
            False,
            lambda u: _of(u, _uneven),
            (_WEIGHT * _FAR,),
            (math.sqrt(mixed),),
        ),
    )


def student(r: Array, degrees: float) -> Array:
    r"""$\log t_\nu(r)$: log density of Student's t at scale one, in nats."""
    half = 0.5 * (degrees + 1)
    constant = math.lgamma(half) - math.lgamma(0.5 * degrees) - 0.5 * math.log(degrees * math.pi)
    return constant - half * jnp.log1p(r * r / degrees)


def _of(u: Array, log_density: Callable[[Array], Array]) -> Array:
    """The same of a vector of one entry."""
    return jnp.sum(log_density(u))


def _symmetric(name: str, log_density: Callable[[Array], Array], spread: float) -> Shape:
    return Shape(name, True, lambda u: _of(u - CENTER, log_density), (CENTER,), (spread,))


def _two_modes(apart: float) -> Callable[[Array], Array]:
    """Two standard normals of equal weight, at that distance from the middle."""

    def log_density(r: Array) -> Array:
        far = jnp.abs(r) + apart  # cosh without overflow
        near = jnp.abs(r) - apart
        return -0.5 * near * near + jnp.log1p(jnp.exp(0.5 * (near * near - far * far))) - constant

    constant = _LOG_ROOT + math.log(2)
    return log_density


def _uneven(x: Array) -> Array:
    near = math.log(1 - _WEIGHT) - 0.5 * x * x - _LOG_ROOT
    far = math.log(_WEIGHT / _WIDE) - 0.5 * jnp.square((x - _FAR) / _WIDE) - _LOG_ROOT
    return logsumexp(jnp.stack([near, far]), axis=0)


def _elliptical(u: Array) -> Array:
    r"""Student's t in two dimensions, whose contours are ellipses at a slant."""
    first = (u[0] - CENTER) / _SCALES[0]
    second = (u[1] + CENTER) / _SCALES[1]
    rest = 1 - _CORRELATION**2
    distance = (first**2 - 2 * _CORRELATION * first * second + second**2) / rest
    # Gamma((nu + 2) / 2) / (Gamma(nu / 2) nu pi) = 1 / (2 pi).
    constant = math.log(2 * math.pi * math.sqrt(rest) * math.prod(_SCALES))
    return -0.5 * (_DEGREES + 2) * jnp.log1p(distance / _DEGREES) - constant
