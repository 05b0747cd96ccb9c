"""A function without noise, minimised by L-BFGS in one compiled loop."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from amortis.optimise.lbfgs import lbfgs_init, lbfgs_step

_MEMORY = 20


def minimised(
    function: Callable[[Float[Array, " p"]], Float[Array, ""]],
    start: Float[Array, " p"],
    evaluations: int,
) -> Float[Array, " p"]:
    """The point that a number of evaluations lead to.

    Args:
        function: what to minimise, with a gradient; compiled once if it is a pytree.
        start: where to start.
        evaluations: how many values and gradients to take.
    """
    return _run(function, start, jnp.asarray(evaluations))


@eqx.filter_jit
def _run(
    function: Callable[[Float[Array, " p"]], Float[Array, ""]],
    start: Float[Array, " p"],
    evaluations: Int[Array, ""],
) -> Float[Array, " p"]:
    evaluate = jax.value_and_grad(function)
    step = lambda _, state: lbfgs_step(state, evaluate)  # noqa: E731
    return jax.lax.fori_loop(0, evaluations, step, lbfgs_init(start, _MEMORY)).point
