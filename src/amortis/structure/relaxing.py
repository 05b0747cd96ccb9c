"""Which data have derivatives: counts and 0/1 observations do, categories and indices do not."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from amortis.structure.joint import Joint


def relaxed(joint: Joint) -> tuple[dict[str, Array], dict[str, Array]]:
    """Arrays that have derivatives, and integers that the model cannot take as real numbers.

    Counts and 0/1 observations are read as real numbers where the model runs with them: their log
    densities are smooth functions of them.

    Args:
        joint: the density.

    Returns:
        Real arrays, and integers; the model's constants are in neither.
    """
    dtype = jnp.result_type(float)
    latents = {n: jax.ShapeDtypeStruct(s, dtype) for n, s in joint.latents.items()}
    arrays = dict(joint.arrays)
    floats = {n: v for n, v in arrays.items() if jnp.issubdtype(v.dtype, jnp.floating)}
    for name, value in joint.arrays.items():
        if name in floats:
            continue
        tried = arrays | {name: value.astype(dtype)}
        try:
            jax.eval_shape(lambda z, x: joint.terms(z, {**x, **joint.constants}), latents, tried)
        except (TypeError, ValueError, IndexError, jax.errors.JAXTypeError):
            continue  # used as an index, or otherwise as an integer
        floats[name], arrays = tried[name], tried
    return floats, {n: v for n, v in arrays.items() if n not in floats}


def used_as_integers(joint: Joint) -> frozenset[str]:
    """Integer arrays that the model cannot take as real numbers: categories and indices."""
    _, integers = relaxed(joint)
    return frozenset(integers) | frozenset(joint.constants)
