"""Where a mixture begins: at the modes of the posterior, if climbs find several."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._types import RandomKey
from amortis.families import Mixture
from amortis.fitting.approximation import LogJoint
from amortis.fitting.modes import Mode, modes_of

_LEAST_SHARE, _MOST_GLOBALS = 1e-3, 100
"""Mass of a mode beside the largest that earns it a component, and globals up to which there is a
look: each mode costs a Hessian."""


def mixture_at_modes(
    family: Mixture, log_joint: LogJoint, key: RandomKey
) -> Float[Array, " raw"] | None:
    """A mixture with components in every mode, weighted by the modes' masses.

    Args:
        family: the mixture.
        log_joint: of a model.
        key: random key of the points that are climbed from.

    Returns:
        Its raw parameters; None where there is one mode, rows have latents, or globals are many.
    """
    dimension = log_joint.layout.dimension
    if log_joint.model.locals_ or not 0 < dimension <= _MOST_GLOBALS:
        return None
    modes = modes_of(log_joint, dimension, key)
    modes = tuple(m for m in modes if m.log_mass > modes[0].log_mass + np.log(_LEAST_SHARE))
    modes = modes[: family.components]
    if len(modes) < 2:
        return None
    counts = np.ones(len(modes), int)
    counts[0] += family.components - len(modes)
    weights = np.exp([mode.log_mass - modes[0].log_mass for mode in modes]) / counts
    dtype = jnp.result_type(float)
    each = jnp.concatenate(
        [_around(mode, int(count)) for mode, count in zip(modes, counts, strict=True)]
    )
    return family.of(jnp.asarray(np.repeat(weights, counts), dtype), each.astype(dtype))


def _around(mode: Mode, count: int) -> Float[Array, "count one"]:
    """Raw parameters of normals that together are roughly the one of a mode."""
    dtype = jnp.result_type(float)
    point, root = jnp.asarray(mode.point, dtype), jnp.asarray(mode.root, dtype)
    family = Mixture(count)
    if count == 1:
        return family.gaussian(point, root)[1:][None]
    raw = family.mapped(family.start(len(mode.point), 0.0), point, root)
    return raw[count:].reshape(count, -1)
