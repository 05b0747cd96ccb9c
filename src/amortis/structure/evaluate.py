"""The one compiled function of the probe: gradients and their changes, unit by unit."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from amortis._types import Scalar, Sites
from amortis.numerics import run_rarely
from amortis.structure.joint import AnyArray, Joint, LatentAxis
from amortis.structure.moved_data import Data
from amortis.structure.points import Point

_STRONG, _MOVED = 1e-4, 1e-5
"""Above the first, relative to the typical derivative, there is an edge; what is smaller but not
zero could be an edge beside sharper terms, or rounding. Gradients that moved by less than the
second, relative to themselves and to the typical one, moved by rounding."""


class Moves(NamedTuple):
    """What is moved: masks along the first axis of each latent, and in the shape of each array."""

    latents: dict[str, Bool[Any, "..."]]
    arrays: dict[str, Bool[Any, "..."]]


class Outcome(NamedTuple):
    """What came of it, by local site with units first.

    Attributes:
        gradient: of the log joint in the units' latents, after the move.
        derivative: of that gradient along the direction of the move.
        level: for each unit, 0 if its factor did not move, 2 if it did, 1 if that is in doubt.
        terms: log density of every site after the move, in nats.
    """

    gradient: dict[str, Array]
    derivative: dict[str, Array]
    level: dict[str, Int[Array, " units"]]
    terms: dict[str, Scalar]


Evaluation = Callable[[Point, Data, Moves, Mapping[str, AnyArray]], Outcome]


def move(point: Point, data: Data, moves: Moves) -> tuple[dict[str, Array], dict[str, Array]]:
    """The latents, units first, and the data after a move.

    Args:
        point: the latents before, and where they move to.
        data: the same for the data.
        moves: what is moved.
    """
    latents = {
        name: jnp.where(_along(jnp.asarray(moves.latents[name]), value), point.others[name], value)
        for name, value in {**point.z, **point.fixed}.items()
    }
    arrays = {
        name: jnp.where(moves.arrays[name], data.others[name], value)
        for name, value in {**data.floats, **data.integers}.items()
    }
    return latents, arrays


def make_evaluation(joint: Joint, axis: LatentAxis, site: str | None = None) -> Evaluation:
    """Compile the evaluation of a density; of one site's term alone if a site is named.

    Args:
        joint: the density.
        axis: the axis of the units.
        site: a site.

    Returns:
        A function of a point, the data, what to move, and the gradient before the move.
    """

    def density(latents: Sites, arrays: Any) -> tuple[Scalar, dict[str, Scalar]]:
        moved = {n: jnp.moveaxis(latents[n], 0, a) for n, a in axis.sites.items()}
        terms = dict(joint.terms({**latents, **moved}, {**arrays, **joint.constants}))
        total = terms[site] if site is not None else sum(terms.values(), jnp.zeros(()))
        return total, terms

    def evaluate(point: Point, data: Data, moves: Moves, before: Any) -> Outcome:
        latents, arrays = move(point, data, moves)
        x = {n: arrays[n] for n in data.floats}
        dx = {n: jnp.where(moves.arrays[n], data.directions[n], 0.0) for n in x}
        integers = {n: arrays[n] for n in data.integers}
        directions = {
            n: jnp.where(_along(jnp.asarray(moves.latents[n]), v), point.directions[n], 0.0)
            for n, v in latents.items()
        }

        def gradient(latents: Any, x: Any) -> tuple[Any, Any]:
            z = {n: latents[n] for n in point.z}
            arrays = {**x, **integers}
            return jax.grad(lambda z: density({**latents, **z}, arrays), has_aux=True)(z)

        moved, derivative, terms = jax.jvp(gradient, (latents, x), (directions, dx), has_aux=True)
        level = {n: _level(moved[n], before[n], derivative[n]) for n in point.z}
        return Outcome(moved, derivative, level, terms)

    return jax.jit(evaluate, compiler_options=run_rarely(joint.numbers))


class OfSites(NamedTuple):
    """What each site's term does.

    Attributes:
        gradients: by site and by local latent, in the latter, units first.
        elements: its log density in nats, as arrays that add up to it.
    """

    gradients: dict[str, dict[str, Array]]
    elements: dict[str, tuple[Array, ...]]


SiteEvaluation = Callable[[Point, Mapping[str, AnyArray], Mapping[str, AnyArray]], OfSites]


def make_site_evaluation(joint: Joint, axis: LatentAxis) -> SiteEvaluation:
    """Compile the elements of each site's term, and its gradient in the units' latents.

    Args:
        joint: the density.
        axis: the axis of the units.

    Returns:
        A function of a point, real data and integer data.
    """

    def evaluate(point: Point, floats: Any, integers: Any) -> OfSites:
        arrays = {**floats, **integers, **joint.constants}

        def elements(z: Sites) -> dict[str, tuple[Array, ...]]:
            moved = {n: jnp.moveaxis(z[n], 0, a) for n, a in axis.sites.items()}
            fixed = {n: jnp.asarray(v) for n, v in point.fixed.items()}
            return dict(joint.density.elements({**fixed, **moved}, arrays))

        z = {n: jnp.asarray(v) for n, v in point.z.items()}
        values, pull = jax.vjp(elements, z)
        zero, one = (jax.tree.map(like, values) for like in (jnp.zeros_like, jnp.ones_like))
        return OfSites({n: pull({**zero, n: one[n]})[0] for n in values}, values)

    return jax.jit(evaluate, compiler_options=run_rarely(joint.numbers))


def _level(
    moved: Float[Array, "units ..."], before: Float[Array, "units ..."], derivative: Array
) -> Int[Array, " units"]:
    rows = lambda value: jnp.reshape(jnp.abs(value), (value.shape[0], -1))  # noqa: E731
    size = jnp.max(rows(derivative), axis=1)
    # The typical derivative among the large ones; a geometric mean, since scales differ.
    there = size > 1e-3 * jnp.max(size)
    logs = jnp.where(there, jnp.log(jnp.where(there, size, 1.0)), 0.0)
    counted = jnp.maximum(jnp.sum(there.astype(logs.dtype)), 1.0)
    typical = jnp.exp(jnp.sum(logs) / counted)
    step = rows(moved - before)
    usual = jnp.mean(rows(before))  # a median would sort all units at every evaluation
    # Where the move led out of the support nothing can be said: a comparison with NaN is false.
    stepped = jnp.any(step > _MOVED * (rows(moved) + rows(before) + usual), axis=1)
    strong = (size > _STRONG * typical) | stepped
    return jnp.where(strong, 2, jnp.where(size > 0, 1, 0)).astype(jnp.int8)


def _along(mask: Array, value: AnyArray) -> Array:
    """A mask along the first axis, in a shape that broadcasts against the value."""
    return jnp.reshape(mask, (-1,) + (1,) * (value.ndim - 1) if value.ndim else ())
