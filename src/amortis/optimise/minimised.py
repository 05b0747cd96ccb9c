"""A function without noise, minimised by L-BFGS in one compiled loop."""

from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import Array, Float

from amortis.optimise.lbfgs import lbfgs_init, lbfgs_step

_MEMORY = 20


def minimised(
    function: Callable[[Float[Array, " p"]], Float[Array, ""]],
    start: Float[Array, " p"],
    evaluations: int,
) -> Float[Array, " p"]:
    """The point that a number of evaluations lead to.

    Args:
        function: what to minimise, with a gradient.
        start: where to start.
        evaluations: how many values and gradients to take.
    """
    evaluate = jax.value_and_grad(function)

    @eqx.filter_jit
    def run(point: Float[Array, " p"]) -> Float[Array, " p"]:
        first = lbfgs_init(point, _MEMORY)
        step = lambda _, state: lbfgs_step(state, evaluate)  # noqa: E731
        return jax.lax.fori_loop(0, evaluations, step, first).point

    return run(start)
