"""A function without noise, minimised by L-BFGS in one compiled loop."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from amortis.optimise.lbfgs import LBFGSState, lbfgs_init, lbfgs_step

_MEMORY = 20


class Minimum(NamedTuple):
    """Where a search has led.

    Attributes:
        point: the point.
        value: of the function there; infinite where it was finite nowhere.
    """

    point: Float[Array, " p"]
    value: Float[Array, ""]


def minimised(
    function: Callable[[Float[Array, " p"]], Float[Array, ""]],
    start: Float[Array, " p"],
    evaluations: int,
) -> Minimum:
    """What a number of evaluations lead to, or fewer if no step is better any more.

    Args:
        function: what to minimise, with a gradient; compiled once if it is a pytree.
        start: where to start.
        evaluations: most values and gradients to take.
    """
    return _run(function, start, jnp.asarray(evaluations))


@eqx.filter_jit
def _run(
    function: Callable[[Float[Array, " p"]], Float[Array, ""]],
    start: Float[Array, " p"],
    evaluations: Int[Array, ""],
) -> Minimum:
    evaluate = jax.value_and_grad(function)

    def goes_on(carry: tuple[Array, LBFGSState]) -> Array:
        return (carry[0] < evaluations) & ~carry[1].stalled

    def step(carry: tuple[Array, LBFGSState]) -> tuple[Array, LBFGSState]:
        return carry[0] + 1, lbfgs_step(carry[1], evaluate)

    begin = (jnp.zeros_like(evaluations), lbfgs_init(start, _MEMORY))
    _, state = jax.lax.while_loop(goes_on, step, begin)
    return Minimum(state.point, state.value)
