r"""A fit whose globals are held at $\hat\theta$: rows with densities and factors of their own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from amortis._errors import ArgumentError
from amortis._require import require_count, shown
from amortis._types import Parameters, RowIndex, Rows, Sites, Values
from amortis.families import AbstractFamily, Flow, FullRank, Point, full_rank_parts
from amortis.fitting import Fit, raw_of
from amortis.guide import Guide, SiteLayout
from amortis.model import AbstractDensity, BoundCall, LatentModel, LogTerms
from amortis.structure import Joint

RowsAsked = int | Int[np.ndarray, " rows"] | Int[Array, " rows"] | list[int]
"""How many rows, spread evenly over the data, or which."""


class HeldDensity(AbstractDensity):
    r"""$\log p(x_n, z_n\mid\hat\theta)$: a density whose globals are known, and are none any more.

    The globals are kept once, constrained by the model as ever: nothing that draws many locals
    holds a copy of them for each.

    Attributes:
        inner: the density with globals.
        theta: $\hat\theta$, unconstrained, by site.
    """

    inner: AbstractDensity
    theta: dict[str, Array]

    def log_terms(self, theta: Sites, z: Sites, rows: Rows) -> LogTerms:
        del theta
        return self.inner.log_terms(self.theta, z, rows)

    def constrain(self, theta: Sites, z: Sites, rows: Rows) -> Values:
        del theta
        return self.inner.constrain(self.theta, z, rows)

    def take(self, data: Rows, index: RowIndex) -> Rows:
        return self.inner.take(data, index)

    def joint(self, data: Rows) -> Joint:
        return self.inner.joint(data)

    def bound_call(self, data: Rows) -> BoundCall:
        return self.inner.bound_call(data)


@dataclasses.dataclass(frozen=True)
class Held:
    r"""Some rows of a fit with the globals held at the middle of their factor.

    Attributes:
        model: the model without globals.
        guide: the rows' factors; there are no globals and no function.
        raw: raw parameters of the factors of the rows that are looked at.
        index: positions of these rows in the data.
    """

    model: LatentModel
    guide: Guide
    raw: Float[Array, "rows raw"]
    index: Int[np.ndarray, " rows"]

    @property
    def family(self) -> AbstractFamily:
        """The family of the rows' factors."""
        return self.guide.local_family

    @property
    def width(self) -> int:
        """Numbers that one draw of one row takes, as far as that is known from outside."""
        return max(self.guide.z.dimension, self.model.inputs.shape[1], 1)

    def with_factors(self, family: AbstractFamily, raw: Float[Array, "rows raw"]) -> "Held":
        """The same rows with other factors.

        Args:
            family: of the factors.
            raw: their raw parameters.
        """
        return dataclasses.replace(self, guide=with_family(self.guide, family), raw=raw)


def no_globals() -> Parameters:
    """Parameters of a guide without globals, but for the locals'."""
    return {"globals": jnp.zeros(0)}


def with_family(guide: Guide, family: AbstractFamily) -> Guide:
    """A guide of held rows with another family of their factors."""
    dimension = guide.z.dimension
    outputs = family.raw_size(dimension)
    return dataclasses.replace(
        guide,
        local_family=family,
        offset=jnp.zeros(outputs),
        shape=dataclasses.replace(guide.shape, outputs=outputs, given=0),
    )


def frames(
    family: AbstractFamily, raw: Float[Array, "rows raw"], dimension: int
) -> tuple[Float[Array, "rows d"], Float[Array, "rows d d"]]:
    """Means of rows' factors and roots of their covariances; of flows those of the normal behind.

    Args:
        family: of the factors.
        raw: their raw parameters.
        dimension: latents of a row.

    Returns:
        The means, and lower triangular roots; of families that are neither, the diagonal of sds.
    """
    if isinstance(family, FullRank | Flow):
        return jax.vmap(full_rank_parts)(raw[:, : FullRank().raw_size(dimension)])
    means, sds = jax.vmap(family.moments)(raw)
    return means, jax.vmap(jnp.diag)(sds)


def held(fitted: Fit, rows: RowsAsked | None) -> Held:
    r"""Hold the globals of a fit, $\hat\theta$ the value of their factor at noise zero.

    That is the point itself of point estimates, and the mean of Gaussians.

    Args:
        fitted: a fit, to its own data or bound to new ones by `infer`.
        rows: how many rows, spread evenly over the data, or which; all if None.

    Raises:
        ArgumentError: no local latents, units that cannot be evaluated apart, or rows that the
            data do not have.
    """
    model, guide = fitted.model, fitted.guide
    if not model.locals_:
        raise ArgumentError(
            "the model has no local latents; expected rows with latents of their own, to be summed "
            "out row by row: see amortis.diagnose(fitted).log_evidence for models without"
        )
    if model.coupled or not model.separable:
        raise ArgumentError(
            f"the units of {model.plate!r} cannot be evaluated apart, so that none has an evidence "
            f"of its own; expected a model whose rows can: use amortis.diagnose(fitted)"
        )
    index = _rows_of(rows, model.size)
    raw = raw_of(guide, fitted.variational, jnp.asarray(index))
    noise = jnp.zeros(guide.noise_size, raw.dtype)
    theta = guide.global_family.sample(fitted.variational["globals"], noise)
    given = guide.given(fitted.variational, raw, theta)
    known = dict(guide.theta.split(theta))
    alone = dataclasses.replace(model, density=HeldDensity(model.density, known), globals_={})
    factors = dataclasses.replace(
        guide.factors(), global_family=Point(), theta=SiteLayout({}), contexts=None
    )
    return Held(alone, with_family(factors, guide.row_family), given, index)


def _rows_of(rows: RowsAsked | None, size: int) -> Int[np.ndarray, " rows"]:
    if rows is None:
        return np.arange(size)
    if np.ndim(rows) == 0:
        require_count("number of", "rows", rows)
        return np.linspace(0, size - 1, min(int(np.asarray(rows)), size)).astype(int)
    index = np.asarray(rows)
    whole = index.ndim == 1 and index.size > 0 and np.issubdtype(index.dtype, np.integer)
    if not whole or index.min() < 0 or index.max() >= size:
        raise ArgumentError(
            f"rows is {shown(rows)}; expected a number of rows, or positions from 0 to {size - 1}: "
            f"leave it out for all"
        )
    return index.astype(int)
