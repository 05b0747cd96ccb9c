"""Where the factor of the globals starts."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._types import RandomKey
from amortis.families import AbstractFamily, PartlyPoint

_NUDGE, _NUDGED = 0.1, 1000
"""Sd of the random part of the globals' start, up to so many globals; of more, less: random layers
multiply, and the nudge as a whole is to stay a nudge."""

_GLOBAL_START_SD = 0.1
"""Globals are sharp where there are many rows; starting wide would swamp the first gradients."""


def global_start(
    family: AbstractFamily, dimension: int, center: Float[np.ndarray, " d"] | None, key: RandomKey
) -> Float[Array, " raw"]:
    """Raw parameters around zero with a random nudge, which leaves saddle points.

    Args:
        family: the factor.
        dimension: number of globals.
        center: where those without a prior start, which are not nudged: a network's weights are
            random already. NaN for those with one; None where all have one.
        key: random key of the guide's start.
    """
    if isinstance(family, PartlyPoint):
        dense = global_start(family.others, dimension - family.count, None, key)
        # Without a model, of which a guide out of an archive is made, there are only shapes.
        begin = np.zeros(family.count) if center is None else center[~np.isnan(center)]
        points = numerics.on_device(begin)
        return jnp.concatenate([dense, points.astype(dense.dtype)])
    raw = family.start(dimension, math.log(_GLOBAL_START_SD))
    (nudge,) = numerics.normals(numerics.forked(key, 0), [raw.shape])
    sd = _NUDGE * min(1.0, math.sqrt(_NUDGED / max(dimension, 1)))
    begun = numerics.on_host(raw) + sd * nudge
    if center is not None:  # a point estimate of everything, whose raw parameters are the values
        begun = np.where(np.isnan(center), begun, center)
    return numerics.on_device(begun)
