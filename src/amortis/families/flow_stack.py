"""A stack of FlowJAX layers as one function of a flat vector of parameters."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from amortis.families.flow_layers import AbstractLayers
from amortis.families.flowjax_import import as_flowjax_computes, flowjax_modules


@dataclasses.dataclass(frozen=True)
class Stack:
    r"""The map F of a flow, between vectors of d coordinates.

    Attributes:
        start: parameters at which F is the identity; the networks' hidden weights are random there,
            from a fixed seed, and their last ones zero, where they have gradients.
        bijection: from the parameters FlowJAX's bijection, which is not typed, as it may be
            missing.
    """

    start: Float[np.ndarray, " trained"]
    bijection: Callable[[Float[Array, " trained"]], Any]

    def forward(
        self, trained: Float[Array, " trained"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        r"""$F(\epsilon)$ and $\log|\det\partial F/\partial\epsilon|$."""
        with as_flowjax_computes():
            return self.bijection(trained).transform_and_log_det(noise)

    def inverse(
        self, trained: Float[Array, " trained"], value: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        r"""$F^{-1}(x)$ and $\log|\det\partial F^{-1}/\partial x|$."""
        with as_flowjax_computes():
            return self.bijection(trained).inverse_and_log_det(value)


@functools.lru_cache(maxsize=32)
def stack_of(layers: AbstractLayers, dimension: int, dtype: np.dtype[Any]) -> Stack:
    """Build the stack, once for each number of coordinates and type.

    Args:
        layers: what it is made of.
        dimension: number of coordinates, at least one. On one coordinate it is a transformer alone.
        dtype: floating point type of its parameters.
    """
    # FlowJAX builds its layers by computing, which must not become part of what is being traced:
    # the arrays are kept.
    wide = bool(dtype == np.dtype(np.float64))
    with jax.core.eval_context(), jax.enable_x64(wide), as_flowjax_computes():
        build = _elementwise if dimension == 1 else _layered
        trained, rebuilt = build(layers, dimension)
        start, unravel = ravel_pytree(jax.tree.map(jnp.asarray, trained))
        host = np.asarray(start)
    return Stack(host, lambda vector: rebuilt(unravel(vector)))


def _elementwise(layers: AbstractLayers, dimension: int) -> tuple[Any, Callable[[Any], Any]]:
    trained, fixed = eqx.partition(layers.transformer.bijection(), eqx.is_inexact_array)
    trained = jax.tree.map(lambda a: np.repeat(np.asarray(a)[None], dimension, axis=0), trained)
    vmap = flowjax_modules().bijections.Vmap
    return trained, lambda now: vmap(eqx.combine(now, fixed), in_axes=eqx.if_array(0))


def _layered(layers: AbstractLayers, dimension: int) -> tuple[Any, Callable[[Any], Any]]:
    # One layer is traced and the others scanned over, so that compiling does not grow with their
    # number; arrays carry the layers on their first axis, the fixed ones (masks, orders) too.
    bijections = flowjax_modules().bijections
    trained, fixed = eqx.partition(layers.bijection(dimension), eqx.is_inexact_array)
    trained = _started(trained, layers.layers)
    fixed = jax.tree.map(
        lambda a: np.repeat(np.asarray(a)[None], layers.layers, axis=0) if eqx.is_array(a) else a,
        fixed,
    )
    orders = layers.orders(dimension)
    order = eqx.tree_at(
        lambda permute: (permute.permutation, permute.inverse_permutation),
        bijections.Permute(np.arange(dimension)),
        ((orders,), (np.argsort(orders, axis=1),)),
    )

    def rebuilt(now: Any) -> Any:
        # The order is undone after each layer, so that layers at the identity make the identity.
        steps = [order, eqx.combine(now, fixed), bijections.Invert(order)]
        return bijections.Scan(bijections.Chain(steps))

    return trained, rebuilt


def _started(trained: Any, layers: int) -> Any:
    generator = np.random.default_rng(0)  # no key comes in: `AbstractFamily.start` takes none
    arrays, structure = jax.tree.flatten(trained)
    # They come as weights (out, in) and biases by layer of the network, the last layer at the end.
    hidden = len(arrays) - 2
    fresh = [np.zeros((layers, *array.shape), array.dtype) for array in arrays]
    for number, array in enumerate(fresh[:hidden]):
        if number % 2 == 0:
            array[:] = generator.standard_normal(array.shape) / math.sqrt(array.shape[-1])
        else:
            array[:] = generator.uniform(-1.0, 1.0, array.shape)
    return jax.tree.unflatten(structure, fresh)
