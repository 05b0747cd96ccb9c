"""Random numbers made on the host: every size of `jax.random` is compiled, which takes longer."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jax.core import Tracer
from jaxtyping import Array, Float

from amortis._types import RandomKey

HostOrTraced = Array | np.ndarray


def forked(key: RandomKey, *place: int) -> RandomKey:
    """A key of its own for some purpose, as `jax.random.fold_in` makes it, but on the host.

    Args:
        key: random key; a traced one is folded by JAX.
        place: non-negative integers that name the purpose; trailing zeros name nothing, so that
            `forked(key, 0)` is `forked(key)`.

    Returns:
        A key of the same kind.
    """
    if isinstance(key, Tracer):
        for number in place:
            key = jax.random.fold_in(key, number)
        return key
    data = np.asarray(jax.random.key_data(key))
    words = np.random.SeedSequence([*data.ravel().tolist(), *place]).generate_state(data.size)
    fresh = jax.device_put(words.astype(data.dtype).reshape(data.shape))
    return jax.random.wrap_key_data(fresh, impl=jax.random.key_impl(key))


def normals(key: RandomKey, shapes: Sequence[tuple[int, ...]]) -> list[HostOrTraced]:
    """Independent standard normal arrays.

    Args:
        key: random key. With a traced one, as where only shapes are asked for, JAX draws, and the
            numbers are others.
        shapes: of the arrays.

    Returns:
        The arrays, in the order of their shapes, in the default floating point type; NumPy's unless
        the key is traced.
    """
    sizes = [math.prod(shape) for shape in shapes]
    if isinstance(key, Tracer):
        numbers: Any = jax.random.normal(key, (sum(sizes),))
    else:
        seed = np.asarray(jax.random.key_data(key)).ravel().tolist()
        numbers = np.random.default_rng(seed).standard_normal(sum(sizes))
        numbers = numbers.astype(jnp.result_type(float))
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [
        numbers[end - size : end].reshape(shape)
        for end, size, shape in zip(ends, sizes, shapes, strict=True)
    ]


def uniform_of(normal: HostOrTraced) -> HostOrTraced:
    r"""$\Phi$ of standard normal numbers, which is uniform in (0, 1)."""
    if isinstance(normal, np.ndarray):
        return np.asarray(scipy.special.ndtr(normal), normal.dtype)
    return jax.scipy.special.ndtr(normal)


def on_host(values: Float[HostOrTraced, "..."]) -> HostOrTraced:
    """The values as a NumPy array, where there are any yet."""
    return values if isinstance(values, Tracer) else np.asarray(values)


def zeros(key: RandomKey, *shape: int) -> HostOrTraced:
    """Zeros in the default floating point type, on the host.

    Args:
        key: with a traced one nothing is allocated: an archive may claim any size.
        shape: of the array.
    """
    if isinstance(key, Tracer):
        return jnp.zeros(shape)
    return np.zeros(shape, jnp.result_type(float))


def on_device(tree: Any) -> Any:
    """A pytree of NumPy arrays as JAX's, which no operation has to be compiled for."""
    return jax.tree.map(jax.device_put, tree)
