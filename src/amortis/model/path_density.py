"""Terms by unit of a model that can only be evaluated as a whole, by integrals along lines."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amortis._types import RowIndex, Rows, Sites, Values
from amortis.model.bound_call import BoundCall
from amortis.model.checks import random_values
from amortis.model.latent_model import AbstractDensity, LatentModel, LogTerms
from amortis.structure import Joint, Kind

_NODES = 6
"""Points on a line; exact where a unit's term is a polynomial of degree twelve along it."""

_TOLERANCE = 1e-3


class PathDensity(AbstractDensity):
    r"""$\log p(\theta, z, x) = \log p(\theta, m, x) + \sum_n g_n(\theta, z_n)$ with a reference m.

    Where no term holds the locals of two units, the gradient in $z_n$ depends on $z_n$ and $\theta$
    alone, and $g_n = \int_0^1 \nabla_{z_n}\log p(\theta, m + t(z - m), x)^\top (z_n - m_n)\,dt$ is
    the term of unit n but for what does not depend on $z_n$. One gradient serves all units.

    Attributes:
        whole: the density of all units.
        reference: m, by site; what does not depend on the locals counts there.
    """

    whole: AbstractDensity
    reference: dict[str, Array]

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

        nodes, weights = _rule()
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


def _rule() -> tuple[np.ndarray, np.ndarray]:
    """Gauss and Legendre's rule on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    dtype = jnp.result_type(float)
    return (0.5 * (nodes + 1.0)).astype(dtype), (0.5 * weights).astype(dtype)


def by_unit(model: LatentModel, reference: Sites) -> LatentModel | None:
    """The model with one term per unit, all units at once.

    Args:
        model: any model.
        reference: unconstrained locals by site from which lines start, such as means under q.

    Returns:
        The model itself where its units can be evaluated apart; one whose terms are line integrals
        where units do not touch; None where they do, or where integrals do not give the whole, as
        behind a jump.
    """
    if model.separable:
        return model
    if model.verdict is None or model.verdict.kind in (Kind.COUPLED, Kind.UNKNOWN):
        return None
    density = PathDensity(model.density, dict(reference))
    apart = dataclasses.replace(model, density=density)
    theta, z = random_values(model, seed=1, scale=0.5)
    shifted = {name: reference[name] + z[name] for name in z}
    whole, parts = (float(m.log_joint(theta, shifted)) for m in (model, apart))
    small = float(apart.log_joint(theta, dict(reference)))
    close = abs(whole - parts) <= _TOLERANCE * max(abs(whole - small), 1.0) + 1e-5 * abs(whole)
    return apart if close else None
