"""Whether a density is a sum of what two sets of things do: jumps, which no derivative shows."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from amortis.numerics import run_rarely
from amortis.structure.evaluate import Moves, move
from amortis.structure.joint import Joint, LatentAxis
from amortis.structure.moved_data import Data
from amortis.structure.points import Point

_ROUNDING = 100.0
"""Units of rounding, relative to the elements' sizes, in which a change is none."""

_TOTALS = 1e-5
"""Relative difference of totals that rounding explains, where rows come in another order."""

Elements = Mapping[str, tuple[np.ndarray, ...]]


class Sums(NamedTuple):
    """Whether moves add up, by site.

    Attributes:
        jumps: whether two moves together do otherwise than one by one.
        drowned: whether an element is a sum over many units, in whose rounding a jump may drown.
    """

    jumps: dict[str, Bool[Array, ""]]
    drowned: dict[str, Bool[Array, ""]]


Additivity = Callable[[Point, Data, Moves], Sums]


def make_additivity(joint: Joint, axis: LatentAxis) -> Additivity:
    r"""Compile the question which sites see two moves together otherwise than one by one.

    If no term holds something of either move, $f(a', b') - f(a', b) - f(a, b') + f(a, b) = 0$ for
    every element of every site, also where f jumps; and where f is $-\infty$, it is so for one of
    the moves alone. A comparison with NaN says nothing.

    Args:
        joint: the density.
        axis: the axis of the units.

    Returns:
        A function of a point, the data and the four moves, stacked along a first axis: nothing,
        the one, the other, both.
    """

    def elements(point: Point, data: Data, moves: Moves) -> Any:
        latents, arrays = move(point, data, moves)
        moved = {n: jnp.moveaxis(latents[n], 0, a) for n, a in axis.sites.items()}
        return dict(joint.density.elements({**latents, **moved}, {**arrays, **joint.constants}))

    def evaluate(point: Point, data: Data, moves: Moves) -> Sums:
        # One after the other: the model is traced once, and need not be one that can be vectorized.
        four = jax.lax.map(lambda one: elements(point, data, one), moves)
        jumps = {
            name: jnp.any(jnp.stack([_jumps(part, axis.size) for part in parts]))
            for name, parts in four.items()
        }
        drowned = {
            name: jnp.any(jnp.stack([_is_sum(part, axis.size) for part in parts]))
            for name, parts in four.items()
        }
        return Sums(jumps, drowned)

    return jax.jit(evaluate, compiler_options=run_rarely(joint.numbers))


def in_double(tree: Any) -> Any:
    """The same on the host, real numbers in double precision."""

    def wide(leaf: Any) -> np.ndarray:
        value = np.asarray(leaf)
        return value.astype(np.float64) if value.dtype.kind == "f" else value

    return jax.tree.map(wide, tree)


def _is_sum(four: Float[Array, "4 ..."], units: int) -> Bool[Array, ""]:
    """Whether there are fewer elements than units, and they change with them."""
    return jnp.any(four[0] != four[3]) & (four[0].size < units)


def _jumps(four: Float[Array, "4 ..."], units: int) -> Bool[Array, ""]:
    nothing, one, other, both = four
    size = jnp.abs(nothing) + jnp.abs(one) + jnp.abs(other) + jnp.abs(both)
    # An element that sums over many units is rounded more coarsely.
    summed = math.sqrt(max(units / max(nothing.size, 1), 1.0))
    typical = jnp.mean(jnp.where(jnp.isfinite(size), size, 0.0))
    slack = _ROUNDING * float(jnp.finfo(four.dtype).eps) * summed * (size + typical)
    jumps = jnp.abs(both - one - other + nothing) > slack
    left = jnp.isneginf(both) != (jnp.isneginf(one) | jnp.isneginf(other))
    return jnp.any(jnp.isfinite(nothing) & ~jnp.isnan(size) & (jumps | left))


def unlike(before: Elements, after: Elements) -> tuple[str, ...]:
    """The sites whose elements do not add up to the same number where rows have been exchanged.

    Args:
        before: log density by site and element, in nats.
        after: the same after the exchange.

    Returns:
        Their names.
    """
    return tuple(
        name
        for name, parts in before.items()
        if any(_unlike(one, other) for one, other in zip(parts, after[name], strict=True))
    )


def _unlike(one: np.ndarray, other: np.ndarray) -> bool:
    old, new = np.asarray(one, np.float64), np.asarray(other, np.float64)
    inside, still = np.isfinite(old), np.isfinite(new)
    if np.isnan(old).any() or np.isnan(new).any():
        return False
    if inside.sum() != still.sum():
        return True
    difference = abs(np.sum(old, where=inside) - np.sum(new, where=still))
    size = np.sum(np.abs(old), where=inside) + np.sum(np.abs(new), where=still)
    return bool(difference > _TOTALS * size)
