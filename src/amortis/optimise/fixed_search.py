"""The compiled part of `FixedDraws`: L-BFGS of all restarts on noise that stays."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from amortis._types import Parameters
from amortis.optimise.interface import StochasticLoss
from amortis.optimise.lbfgs import LBFGSState, lbfgs_init, lbfgs_step
from amortis.optimise.restarts import over_restarts


def _unravel(loss: StochasticLoss, starts: Parameters) -> Callable[[Array], Parameters]:
    """Parameters from a point; `starts` gives the shapes only."""
    unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], starts))[1]
    return lambda point: loss.from_coordinates(unravel(point))


@eqx.filter_jit
def first_search(loss: StochasticLoss, starts: Parameters, memory: int) -> LBFGSState:
    """States before the first evaluation, one per restart, in search coordinates."""

    def one(start: Parameters) -> LBFGSState:
        return lbfgs_init(ravel_pytree(loss.coordinates(start))[0], memory)

    return jax.vmap(one)(starts)


@eqx.filter_jit
def search_again(search: LBFGSState, memory: int) -> LBFGSState:
    """States of a new search from where the old ones are."""
    return jax.vmap(lambda point: lbfgs_init(point, memory))(search.point)


def _value_and_gradient(
    loss: StochasticLoss, noise: Any, count: Array, starts: Parameters, chunk: int
) -> Any:
    """The loss over the first `count` chunks of draws, and its gradient."""
    parameters = _unravel(loss, starts)

    def evaluate(point: Array) -> tuple[Array, Array]:
        # What no noise enters is computed, and differentiated, once for all chunks.
        shared, pull = jax.vjp(lambda p: loss.shared(parameters(p)), point)

        def add(i: Array, total: tuple[Array, Any]) -> tuple[Array, Any]:
            part = jax.tree.map(
                lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, i * chunk, chunk), noise
            )
            value, gradient = jax.value_and_grad(loss.value_of)(shared, part)
            return total[0] + value, jax.tree.map(jnp.add, total[1], gradient)

        zero = (jnp.zeros((), point.dtype), jax.tree.map(jnp.zeros_like, shared))
        value, gradient = jax.lax.fori_loop(0, count, add, zero)
        return value, pull(gradient)[0]

    return evaluate


class Looked(NamedTuple):
    """What the host looks at after a block; every leaf has a leading axis of restarts.

    It comes from the compiled block, since functions of their own would each be compiled.

    Attributes:
        before: values after the block's first evaluation.
        unsettled: how unsettled the watched quantities are (see `StochasticLoss.unsettled`).
        watched: their locations and scales.
        parameters: the parameters.
    """

    before: Float[Array, " restarts"]
    unsettled: tuple[Array, Array]
    watched: tuple[Array, Array]
    parameters: Parameters


@eqx.filter_jit
def advance(
    loss: StochasticLoss,
    search: LBFGSState,
    noise: Any,
    count: Array,
    starts: Parameters,
    chunk: int,
    length: Int[Array, ""],
) -> tuple[LBFGSState, Looked]:
    """Advance all restarts by `length` evaluations.

    Draws come in chunks of one size, of which the first `count` are used, so that more draws within
    the padded noise do not compile again.

    Args:
        loss: the loss.
        search: one state per restart.
        noise: noise with a leading axis of draws, padded to a multiple of `chunk`.
        count: number of chunks in use.
        starts: starting parameters, for their shapes.
        chunk: draws per chunk.
        length: number of evaluations; an array, since blocks of other lengths are the same code.

    Returns:
        The states after them, and what the host looks at.
    """
    evaluate = _value_and_gradient(loss, noise, count, starts, chunk)
    unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], starts))[1]
    one = over_restarts(lambda state: lbfgs_step(state, evaluate), starts)

    def body(i: Array, carry: tuple[LBFGSState, Array]) -> tuple[LBFGSState, Array]:
        state = one(carry[0])
        return state, jnp.where(i == 0, state.value, carry[1])

    state, first = jax.lax.fori_loop(0, length, body, (search, search.value))
    unsettled = jax.vmap(lambda p, g: loss.unsettled(unravel(p), unravel(g)))
    parameters = jax.vmap(_unravel(loss, starts))(state.point)
    watched = jax.vmap(loss.watched)(parameters)
    return state, Looked(first, unsettled(state.point, state.gradient), watched, parameters)
