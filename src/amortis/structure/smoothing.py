"""`smoothed`: a function whose jumps and kinks are replaced, so that derivatives follow them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array

Shadow: TypeAlias = Any
"""Beside a value: a real array that depends on what the value jumps with; None if it does not."""

_KINKED = frozenset({"max", "min", "abs", "clamp"})
_ELEMENTWISE = _KINKED | {
    *("lt", "le", "gt", "ge", "eq", "ne", "sign", "round", "floor", "ceil", "is_finite", "rem"),
    *("and", "or", "not", "xor", "select_n", "convert_element_type", "add", "sub", "mul", "neg"),
}
_JUMPING = _KINKED | {
    *("lt", "le", "gt", "ge", "eq", "ne", "sign", "round", "floor", "ceil", "is_finite", "rem"),
    *("sort", "argmax", "argmin", "reduce_max", "reduce_min", "cummax", "cummin", "top_k"),
}
_MOVING = frozenset(
    {"broadcast_in_dim", "reshape", "transpose", "squeeze", "slice", "rev", "copy", "expand_dims"}
)
_CALLS = {
    **dict.fromkeys(("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint"), "jaxpr"),
    **dict.fromkeys(("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"), "call_jaxpr"),
}


class NotFollowedError(Exception):
    """A jump inside a loop or a branch, into which smoothing does not go."""


def smoothed(function: Callable[[Array], Array], example: Array) -> Callable[[Array], Array]:
    r"""A function that depends on everything that the given one depends on, by derivatives as well.

    Wherever a primitive compares, rounds, sorts or has a kink, a nonlinear function of its operands
    is added to what it gives, or carried along beside it where that is no real number. The result
    is of no use as a value; its Hessian has an entry wherever two inputs meet in the function, in a
    jump or otherwise.

    Args:
        function: of one vector.
        example: a vector of the right shape.

    Returns:
        The other function.

    Raises:
        NotFollowedError: when it is called, if there is a jump inside `scan`, `while` or `cond`.
    """
    closed = jax.make_jaxpr(function)(example)

    def smooth(vector: Array) -> Array:
        (value, shadow), *_ = _evaluated(closed.jaxpr, closed.consts, [(vector, None)])
        return value if shadow is None else value + jnp.sum(shadow)

    return smooth


def _evaluated(
    jaxpr: Any, constants: Sequence[Any], inputs: Sequence[tuple[Any, Shadow]]
) -> list[tuple[Any, Shadow]]:
    known: dict[Any, tuple[Any, Shadow]] = {}

    def read(variable: Any) -> tuple[Any, Shadow]:
        literal = hasattr(variable, "val")
        return (variable.val, None) if literal else known[variable]

    known.update(zip(jaxpr.constvars, ((c, None) for c in constants), strict=True))
    known.update(zip(jaxpr.invars, inputs, strict=True))
    for equation in jaxpr.eqns:
        found = _applied(equation, [read(v) for v in equation.invars])
        known.update(zip(equation.outvars, found, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _applied(equation: Any, inputs: list[tuple[Any, Shadow]]) -> list[tuple[Any, Shadow]]:
    """The outputs of one equation, with their shadows."""
    name, parameters = equation.primitive.name, equation.params
    if name in _CALLS:
        inner = parameters[_CALLS[name]]
        jaxpr, constants = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
        return _evaluated(jaxpr, constants, inputs)
    shadows = [shadow for _, shadow in inputs if shadow is not None]
    if any(_jumps_inside(inner) for inner in _jaxprs(list(parameters.values()))) or (
        shadows and any(True for _ in _jaxprs(list(parameters.values())))
    ):
        raise NotFollowedError(name)
    outputs = equation.primitive.bind(*(value for value, _ in inputs), **parameters)
    outputs = outputs if equation.primitive.multiple_results else [outputs]
    if name in _MOVING and shadows:
        return [(outputs[0], equation.primitive.bind(shadows[0], **parameters))]
    if name in _JUMPING:
        shadows += [value for value, shadow in inputs if shadow is None and _is_real(value)]
    return [_with_shadows(name, output, shadows) for output in outputs]


def _with_shadows(name: str, output: Any, shadows: list[Shadow]) -> tuple[Any, Shadow]:
    if not shadows:
        return output, None
    shape = jnp.shape(output)
    alike = name in _ELEMENTWISE and all(s.shape in (shape, ()) for s in shadows)
    # What mixes positions in another way counts as mixing all of them.
    parts = [jnp.broadcast_to(s, shape) if alike else jnp.sum(s) for s in shadows]
    together = jnp.sin(sum(parts, jnp.zeros(())))
    if _is_real(output):
        return output + together, None
    return output, jnp.broadcast_to(together, shape)


def _is_real(value: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.floating)


def _jumps_inside(jaxpr: Any) -> bool:
    return any(
        equation.primitive.name in _JUMPING
        or any(_jumps_inside(inner) for inner in _jaxprs(list(equation.params.values())))
        for equation in jaxpr.eqns
    )


def _jaxprs(values: Sequence[Any]) -> Iterator[Any]:
    """Jaxprs among the parameters of a primitive."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from _jaxprs(value)
        elif hasattr(value, "eqns"):
            yield getattr(value, "jaxpr", value)
