"""Means and sds of a guide's factors at parameters that are not a fit yet."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from amortis.guide import Guide


def factors(
    guide: Guide, parameters: Any, index: Array | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means and sds of the globals, shape (d_theta,), and of units' locals, shape (units, d).

    Args:
        guide: the guide.
        parameters: its parameters.
        index: the units; all by default.
    """
    found = jax.device_get(_factors(guide, parameters, index))
    mean, sd, z_mean, z_sd = (np.asarray(value, np.float64) for value in found)
    return mean, sd, z_mean, z_sd


@eqx.filter_jit
def _factors(guide: Guide, parameters: Any, index: Array | None) -> tuple[Array, ...]:
    raw = guide.fitted_raw(parameters, index)
    return *guide.global_moments(parameters), *jax.vmap(guide.local_family.moments)(raw)
