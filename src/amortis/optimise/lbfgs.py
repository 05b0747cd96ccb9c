"""L-BFGS as a state machine that evaluates the loss once per step.

A step evaluates the loss and its gradient at a trial point and either accepts it, updates the
curvature pairs and proposes the next trial, or rejects it and shortens the trial step. Line
searches written as inner loops put several copies of the loss into the compiled program and make
restarts under `vmap` wait for each other; one evaluation per step compiles once and lets them run
apart. A non-finite value or gradient is a rejection, so the state itself is always finite.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

ValueAndGradient = Callable[[Float[Array, " p"]], tuple[Float[Array, ""], Float[Array, " p"]]]

_SUFFICIENT_DECREASE = 1e-4
_SHORTEST_STEP = 1e-8


class LBFGSState(eqx.Module):
    """State between two evaluations.

    Attributes:
        point: the last accepted point.
        value: the loss there.
        gradient: the gradient there.
        direction: current search direction.
        length: length of the next trial step along it.
        steps: accepted differences of points, most recent first.
        changes: matching differences of gradients.
        curvatures: their inner products, zero where a slot is empty.
        accepted: number of accepted points.
        stalled: whether even steepest descent finds no smaller value.
    """

    point: Float[Array, " p"]
    value: Float[Array, ""]
    gradient: Float[Array, " p"]
    direction: Float[Array, " p"]
    length: Float[Array, ""]
    steps: Float[Array, "memory p"]
    changes: Float[Array, "memory p"]
    curvatures: Float[Array, " memory"]
    accepted: Int[Array, ""]
    stalled: Bool[Array, ""]


def lbfgs_init(point: Float[Array, " p"], memory: int) -> LBFGSState:
    """A state before the first evaluation, whose first trial is the start itself.

    Nothing is evaluated here, so that the loss is compiled once, in `lbfgs_step`.

    Args:
        point: the start, shape (p,).
        memory: number of curvature pairs kept.

    Returns:
        The state, with an infinite value.
    """
    return LBFGSState(
        point=point,
        value=jnp.full((), jnp.inf, point.dtype),
        gradient=jnp.zeros_like(point),
        direction=jnp.zeros_like(point),
        length=jnp.ones((), point.dtype),
        steps=jnp.zeros((memory, point.shape[0]), point.dtype),
        changes=jnp.zeros((memory, point.shape[0]), point.dtype),
        curvatures=jnp.zeros(memory, point.dtype),
        accepted=jnp.zeros((), jnp.int32),
        stalled=jnp.zeros((), bool),
    )


def lbfgs_step(state: LBFGSState, value_and_gradient: ValueAndGradient) -> LBFGSState:
    """Evaluate one trial point and accept or reject it.

    A trial is accepted if the loss decreases sufficiently (Armijo), or if the decrease drowns in
    rounding and the slope shows that the minimum along the line is near (approximate Wolfe).

    Args:
        state: the current state.
        value_and_gradient: the loss.

    Returns:
        The next state.

    References:
        Nocedal & Wright, *Numerical Optimization*, algorithm 7.4; Hager & Zhang (2005), eq. 4.1.
    """
    trial = state.point + state.length * state.direction
    value, gradient = value_and_gradient(trial)
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
    slope = jnp.vdot(state.gradient, state.direction)
    first = jnp.isinf(state.value)
    rounding = 4 * jnp.finfo(value.dtype).eps * jnp.abs(state.value)
    decreases = value <= state.value + _SUFFICIENT_DECREASE * state.length * slope
    settles = (value <= state.value + rounding) & (
        jnp.abs(jnp.vdot(gradient, state.direction)) <= 0.9 * jnp.abs(slope)
    )
    good = finite & (decreases | settles | first) & ~state.stalled
    accepted = _accept(state, trial, value, gradient)
    rejected = _reject(state, value, slope, finite)
    return jax.tree.map(lambda a, b: jnp.where(good, a, b), accepted, rejected)


def _accept(state: LBFGSState, trial: Array, value: Array, gradient: Array) -> LBFGSState:
    step, change = trial - state.point, gradient - state.gradient
    curvature = jnp.vdot(step, change)
    # Pairs without clear positive curvature would make the metric indefinite; they are skipped.
    keep = curvature > 1e-7 * jnp.linalg.norm(step) * jnp.linalg.norm(change)
    push = lambda stack, new: jnp.where(  # noqa: E731
        keep, jnp.roll(stack, 1, axis=0).at[0].set(new), stack
    )
    steps, changes = push(state.steps, step), push(state.changes, change)
    curvatures = push(state.curvatures, curvature)
    direction = -_inverse_hessian_times(gradient, steps, changes, curvatures)
    descends = jnp.vdot(direction, gradient) < 0
    fresh = ~descends | (curvatures[0] == 0)
    direction = jnp.where(fresh, -gradient, direction)
    return LBFGSState(
        point=trial,
        value=value,
        gradient=gradient,
        direction=direction,
        length=jnp.where(fresh, _first_length(gradient), 1.0).astype(value.dtype),
        steps=steps,
        changes=changes,
        curvatures=jnp.where(descends, curvatures, 0.0),
        accepted=state.accepted + 1,
        stalled=state.stalled,
    )


def _reject(state: LBFGSState, value: Array, slope: Array, finite: Array) -> LBFGSState:
    # Minimum of the parabola through value and slope at zero and value at the trial.
    excess = value - state.value - state.length * slope
    parabola = -0.5 * slope * jnp.square(state.length) / jnp.maximum(excess, 1e-30)
    shorter = jnp.clip(parabola, 0.1 * state.length, 0.5 * state.length)
    length = jnp.where(finite, shorter, 0.1 * state.length)
    # Before the first evaluation there is no direction to shorten: a bad start is final.
    exhausted = (length < _SHORTEST_STEP) | jnp.isinf(state.value)
    steepest = jnp.all(state.curvatures == 0)
    # A direction that fails at every length is dropped with its memory; steepest descent is last.
    return LBFGSState(
        point=state.point,
        value=state.value,
        gradient=state.gradient,
        direction=jnp.where(exhausted, -state.gradient, state.direction),
        length=jnp.where(exhausted, _first_length(state.gradient), length).astype(value.dtype),
        steps=state.steps,
        changes=state.changes,
        curvatures=jnp.where(exhausted, 0.0, state.curvatures),
        accepted=state.accepted,
        stalled=state.stalled | (exhausted & steepest),
    )


def _first_length(gradient: Array) -> Array:
    return jnp.minimum(1.0, 1.0 / jnp.maximum(jnp.linalg.norm(gradient), 1e-30))


def _inverse_hessian_times(
    gradient: Float[Array, " p"],
    steps: Float[Array, "memory p"],
    changes: Float[Array, "memory p"],
    curvatures: Float[Array, " memory"],
) -> Float[Array, " p"]:
    """The two-loop recursion; slots with zero curvature are empty and drop out."""
    memory = curvatures.shape[0]
    weights = jnp.where(curvatures > 0, 1.0 / jnp.where(curvatures > 0, curvatures, 1.0), 0.0)

    def down(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        vector, coefficients = carry
        coefficient = weights[i] * jnp.vdot(steps[i], vector)
        return vector - coefficient * changes[i], coefficients.at[i].set(coefficient)

    def up(k: Array, vector: Array) -> Array:
        i = memory - 1 - k
        correction = coefficients[i] - weights[i] * jnp.vdot(changes[i], vector)
        return vector + correction * steps[i]

    start = (gradient, jnp.zeros_like(curvatures))
    vector, coefficients = jax.lax.fori_loop(0, memory, down, start)
    size = jnp.vdot(changes[0], changes[0])
    scale = jnp.where(curvatures[0] > 0, curvatures[0] / jnp.where(size > 0, size, 1.0), 1.0)
    return jax.lax.fori_loop(0, memory, up, scale * vector)
