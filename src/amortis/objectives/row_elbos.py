"""Every row's own ELBO and its slope, for what climbs it row by row."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._types import Parameters, RowIndex, Rows, Scalar
from amortis.families import DiagonalNormal
from amortis.guide import AbstractRowProblems, Guide, Noise
from amortis.inference_functions import AbstractIterated, RowProblem
from amortis.model import LatentModel, error_columns, prior_moments, row_errors


class RowElbos(AbstractRowProblems):
    r"""$\mathcal{L}_n(\lambda) = E_{q(z;\lambda)}[\log p(x_n, z\mid\hat\theta)] + H[q]$ of rows.

    The globals are held at the middle of their factor, $\hat\theta$. Expectations are over a rule
    that all rows share, so that the same row has the same ELBO wherever it is looked at.

    Attributes:
        model: the model; its rows must be such that they can be evaluated apart.
        draws: points of the rule.
    """

    model: LatentModel
    draws: int = eqx.field(static=True, default=32)

    def problem(self, guide: Guide, parameters: Parameters, index: RowIndex | None) -> RowProblem:
        return RowProblem(
            elbos=lambda raw: self(guide, parameters, raw, index),
            errors=lambda raw: self.errors(guide, parameters, raw, index),
            prior=lambda: self.prior(guide, parameters, index),
        )

    def errors(
        self,
        guide: Guide,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        index: RowIndex | None,
    ) -> Float[Array, "batch columns"]:
        """Standardized errors of the rows' sites, at the middle of all factors; see `row_errors`.

        Args:
            guide: the factors.
            parameters: of the guide; only the globals' are read.
            raw: raw parameters of the rows' factors.
            index: positions of the rows in the data, or None for all.
        """
        theta, z = guide.sample(parameters, raw, _middle(guide))
        return row_errors(self.model, theta, z, self._rows(index))

    def prior(
        self, guide: Guide, parameters: Parameters, index: RowIndex | None
    ) -> Float[Array, "batch raw"]:
        """Raw parameters of the rows' priors with the globals at the middle of their factor.

        Args:
            guide: the factors.
            parameters: of the guide; only the globals' are read.
            index: positions of the rows in the data, or None for all.
        """
        vector = guide.global_family.sample(parameters["globals"], jnp.zeros(guide.noise_size))
        means, sds = prior_moments(self.model, guide.theta.split(vector), self._rows(index))
        return jnp.concatenate([guide.z.join(means), jnp.log(guide.z.join(sds))], axis=1)

    def _rows(self, index: RowIndex | None) -> Rows:
        return self.model.data if index is None else self.model.rows(index)

    def __call__(
        self,
        guide: Guide,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        index: RowIndex | None,
    ) -> tuple[Float[Array, " batch"], Float[Array, "batch raw"]]:
        """ELBOs in nats, and their derivatives.

        Args:
            guide: the factors.
            parameters: of the guide; only the globals' are read.
            raw: raw parameters of the rows' factors.
            index: positions of the rows in the data, or None for all.
        """
        model, rows = self.model, self._rows(index)
        z = numerics.low_discrepancy(self.draws, guide.z.dimension)
        dtype = raw.dtype
        theta = jnp.zeros((self.draws, guide.noise_size), dtype)
        noise = Noise.equal(theta, jnp.asarray(z[:, None, :], dtype))

        def total(raw: Float[Array, "batch raw"]) -> tuple[Scalar, Float[Array, " batch"]]:
            def one(noise: Noise) -> Float[Array, " batch"]:
                globals_, locals_ = guide.sample(parameters, raw, noise)
                entropy = guide.local_entropy(parameters, raw, noise)
                return model.log_terms(globals_, locals_, rows).local + entropy

            each = jnp.mean(jax.vmap(one)(noise), axis=0)
            return jnp.sum(each), each

        (_, each), slopes = jax.value_and_grad(total, has_aux=True)(raw)
        return each, slopes


def with_row_elbos(guide: Guide, model: LatentModel) -> Guide:
    """The guide with the ELBOs of a model's rows to climb, if its function climbs them.

    Args:
        guide: made for the model.
        model: the model.

    Raises:
        ArgumentError: units that touch each other, so that none has an ELBO of its own; errors or
            priors of rows that are not known.
    """
    if not isinstance(guide.inference, AbstractIterated):
        return guide
    if not model.separable or model.coupled:
        raise ArgumentError(
            f"inference is {type(guide.inference).__name__}(...), which climbs each row's own "
            f"ELBO, but the units of {model.plate!r} touch each other; expected a model whose "
            f"rows stand apart: use amortis.Table(), or amortis.refine(fitted)"
        )
    shape = guide.shape
    if guide.inference.reads_errors:
        shape = dataclasses.replace(shape, errors=error_columns(model))
    if guide.inference.starts_at_prior:
        _require_prior(guide, model)
    return dataclasses.replace(guide, row_elbos=RowElbos(model, guide.inference.draws), shape=shape)


def _require_prior(guide: Guide, model: LatentModel) -> None:
    """Refuse to start at a prior that is no factor."""
    if not isinstance(guide.local_family, DiagonalNormal):
        raise ArgumentError(
            f"start is the prior, but locals_ is {type(guide.local_family).__name__}(...); "
            f"expected amortis.DiagonalNormal(): leave start out"
        )
    theta = {name: jnp.zeros(shape) for name, shape in model.globals_.items()}
    jax.eval_shape(lambda: prior_moments(model, theta, model.data))


def _middle(guide: Guide) -> Noise:
    """One draw at the middle of all factors."""
    return Noise(jnp.zeros(guide.noise_size), jnp.zeros((1, guide.z.dimension)), jnp.ones(()))
