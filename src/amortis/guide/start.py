"""Where the factor of the globals starts."""

import math

from jaxtyping import Array, Float

from amortis import numerics
from amortis._types import RandomKey
from amortis.families import AbstractFamily

_NUDGE, _NUDGED = 0.1, 1000
"""Sd of the random part of the globals' start, up to so many globals; of more, less: random layers
multiply, and the nudge as a whole is to stay a nudge."""

_GLOBAL_START_SD = 0.1
"""Globals are sharp where there are many rows; starting wide would swamp the first gradients."""


def global_start(family: AbstractFamily, dimension: int, key: RandomKey) -> Float[Array, " raw"]:
    """Raw parameters around zero with a random nudge, which leaves saddle points.

    Args:
        family: the factor.
        dimension: number of globals.
        key: random key of the guide's start.
    """
    raw = family.start(dimension, math.log(_GLOBAL_START_SD))
    (nudge,) = numerics.normals(numerics.forked(key, 0), [raw.shape])
    sd = _NUDGE * min(1.0, math.sqrt(_NUDGED / max(dimension, 1)))
    return numerics.on_device(numerics.on_host(raw) + sd * nudge)
