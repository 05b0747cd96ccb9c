"""Terms by unit of a model that can only be evaluated as a whole, by integrals along lines."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amortis._types import RowIndex, Rows, Sites, Values
from amortis.model.bound_call import BoundCall
from amortis.model.checks import random_values
from amortis.model.latent_model import AbstractDensity, LatentModel, LogTerms
from amortis.structure import Joint, Kind

_NODES, _REFERENCE = (6, 16, 48), 128
"""Points on a line, of which the fewest are taken that agree with many; six are exact where a
unit's term is a polynomial of degree twelve along it."""

_FARTHEST, _TOLERANCE = (2.0, 7.0), 1e-3
"""How far from the reference lines are tried, in sds, and how well they have to agree, in nats
and relative."""


class PathDensity(AbstractDensity):
    r"""$\log p(\theta, z, x) = \log p(\theta, m, x) + \sum_n g_n(\theta, z_n)$ with a reference m.

    Where no term holds the locals of two units, the gradient in $z_n$ depends on $z_n$ and $\theta$
    alone, and $g_n = \int_0^1 \nabla_{z_n}\log p(\theta, m + t(z - m), x)^\top (z_n - m_n)\,dt$ is
    the term of unit n but for what does not depend on $z_n$. One gradient serves all units.

    Attributes:
        whole: the density of all units.
        reference: m, by site; what does not depend on the locals counts there.
        nodes: points of Gauss and Legendre's rule on each line.
    """

    whole: AbstractDensity
    reference: dict[str, Array]
    nodes: int = eqx.field(static=True)

    def log_terms(self, theta: Sites, z: Sites, rows: Rows) -> LogTerms:
        move = {name: value - self.reference[name] for name, value in z.items()}

        def total(locals_: Sites) -> Array:
            terms = self.whole.log_terms(theta, locals_, rows)
            return terms.prior + jnp.sum(terms.local)

        def slope(t: Array) -> Array:
            at = {name: self.reference[name] + t * move[name] for name in move}
            along = jax.grad(total)(at)
            by_unit = [
                jnp.sum(jnp.reshape(along[name] * move[name], (value.shape[0], -1)), axis=1)
                for name, value in z.items()
            ]
            return sum(by_unit[1:], by_unit[0])

        nodes, weights = _rule(self.nodes)
        slopes = jax.lax.map(slope, jnp.asarray(nodes))
        base = self.whole.log_terms(theta, self.reference, rows)
        prior = base.prior + jnp.sum(base.local)
        return LogTerms(prior, base.log_det, jnp.asarray(weights) @ slopes)

    def constrain(self, theta: Sites, z: Sites, rows: Rows) -> Values:
        return self.whole.constrain(theta, z, rows)

    def take(self, data: Rows, index: RowIndex) -> Rows:
        return self.whole.take(data, index)

    def joint(self, data: Rows) -> Joint:
        return self.whole.joint(data)

    def bound_call(self, data: Rows) -> BoundCall:
        return self.whole.bound_call(data)


def _rule(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss and Legendre's rule on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    dtype = jnp.result_type(float)
    return (0.5 * (nodes + 1.0)).astype(dtype), (0.5 * weights).astype(dtype)


def by_unit(model: LatentModel, reference: Sites, spread: Sites) -> LatentModel | None:
    """The model with one term per unit, all units at once.

    Args:
        model: any model.
        reference: unconstrained locals by site from which lines start, such as means under q.
        spread: how far they may end, such as standard deviations under q.

    Returns:
        The model itself where its units can be evaluated apart; one whose terms are line integrals
        where units do not touch; None where they do, or where integrals along lines of a few sds
        do not give the whole, as behind a jump.
    """
    if model.separable:
        return model
    if model.verdict is None or model.verdict.kind in (Kind.COUPLED, Kind.UNKNOWN):
        return None
    theta, _ = random_values(model, seed=1, scale=0.5)
    ends = [
        {n: reference[n] + farthest * sign * spread[n] for n in reference}
        for farthest in _FARTHEST
        for sign in (1.0, -1.0)
    ]
    best = _with_lines(model, reference, _REFERENCE)
    wanted = [_terms(best, theta, z) for z in ends]
    # What all lines together say of the whole: a jump is on none of them.
    small = float(model.log_joint(theta, dict(reference)))
    for z, terms in zip(ends, wanted, strict=True):
        step = float(model.log_joint(theta, z)) - small
        if not np.isclose(terms.sum(), step, _TOLERANCE, _TOLERANCE + 1e-5 * abs(small)):
            return None
    for count in _NODES:
        apart = _with_lines(model, reference, count)
        pairs = zip(ends, wanted, strict=True)
        if all(np.allclose(_terms(apart, theta, z), w, _TOLERANCE, _TOLERANCE) for z, w in pairs):
            return apart
    return None


def _with_lines(model: LatentModel, reference: Sites, count: int) -> LatentModel:
    return dataclasses.replace(model, density=PathDensity(model.density, dict(reference), count))


@eqx.filter_jit
def _local(model: LatentModel, theta: Sites, z: Sites) -> Array:
    return model.log_terms(theta, z).local


def _terms(model: LatentModel, theta: Sites, z: Sites) -> np.ndarray:
    return np.asarray(_local(model, theta, z), np.float64)
