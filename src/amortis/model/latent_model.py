"""`LatentModel`: the one interface between a user's model and everything else."""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._types import RowIndex, Rows, Scalar, Sites, Values
from amortis.model.bound_call import BoundCall
from amortis.model.inputs import Inputs, Membership, Series, columns_of
from amortis.numerics import tree_sum
from amortis.structure import Joint, Kind, Verdict


class LogTerms(eqx.Module):
    r"""The log joint, taken apart; every part in nats, with all constants.

    Attributes:
        prior: $\log p(\theta)$ on the constrained scale, and every other term that no row owns.
        log_det: $\log|\det \partial\theta/\partial u|$ of the globals' bijection to their supports.
        local: for each row, $\log p(z_n\mid\theta) + \log p(x_n\mid z_n,\theta)$ with the log
            determinant of $z_n$'s bijection, shape (rows,).
        local_priors: of `local`, the part $\log p(z_n\mid\theta)$ with that log determinant, by
            local site, each of shape (rows,); None where the model does not tell it apart.
    """

    prior: Scalar
    log_det: Scalar
    local: Float[Array, " rows"]
    local_priors: Mapping[str, Float[Array, " rows"]] | None = None


class AbstractDensity(eqx.Module):
    """How a kind of user's model evaluates its log terms and maps to the constrained scale."""

    @abstractmethod
    def log_terms(self, theta: Sites, z: Sites, rows: Rows) -> LogTerms:
        """Evaluate the log joint of `rows` at unconstrained `theta` and `z`."""

    @abstractmethod
    def constrain(self, theta: Sites, z: Sites, rows: Rows) -> Values:
        """Map unconstrained values to their supports, in the shapes the user's model has."""

    @abstractmethod
    def take(self, data: Rows, index: RowIndex) -> Rows:
        """Take a batch of units out of the data."""

    @abstractmethod
    def joint(self, data: Rows) -> Joint:
        """The log joint of all rows as a density over whole arrays, for `check` to look into."""

    @abstractmethod
    def bound_call(self, data: Rows) -> BoundCall:
        """The user's model as it is called on all rows."""


def take_rows(data: Rows, index: RowIndex) -> Rows:
    """The same positions of every array's first axis."""
    return jax.tree.map(lambda leaf: jnp.take(leaf, index, axis=0), data)


class LatentModel(eqx.Module):
    r"""Globals $\theta$, one $z_n$ per row, and data, with the log joint as a sum over rows.

    $\log p(\theta, z, x) = \texttt{log\_prior}(\theta) + \sum_n \texttt{log\_local}(\theta, z)_n$.

    All values are unconstrained; `constrain` maps them to the user's scale. Made by `from_numpyro`
    or `from_density`, which check this identity on the user's own model and data.

    Attributes:
        density: evaluates the log terms.
        data: row-aligned data, a pytree; each leaf has N entries on its first axis.
        inputs: what inference functions may read of a unit's own row, shape (N, D).
        globals_: unconstrained shape of each global site.
        locals_: unconstrained shape of each local site, without the row axis.
        size: N, the number of rows.
        plate: name of the local plate, or of the row axis where the model has no plate.
        input_names: what each column of `inputs` is, for reports.
        series: rows that units share with their neighbors, where those are not `inputs` itself.
        members: rows that belong to groups, where each unit is a group.
        verdict: what `check` finds, where binding the model had to look into its structure.
        separable: whether any batch of units can be evaluated alone.
        rebind: binds the same model to other data; None where that is not known.
        starts: unconstrained values at which the search for the globals without a prior starts, by
            site: point estimates, whatever the family of the others.
    """

    density: AbstractDensity
    data: Rows
    inputs: Float[Array, "rows columns"]
    globals_: Mapping[str, tuple[int, ...]] = eqx.field(static=True)
    locals_: Mapping[str, tuple[int, ...]] = eqx.field(static=True)
    size: int = eqx.field(static=True)
    plate: str = eqx.field(static=True)
    input_names: tuple[str, ...] = eqx.field(static=True)
    series: Series | None = None
    members: Membership | None = None
    verdict: Verdict | None = eqx.field(static=True, default=None)
    separable: bool = eqx.field(static=True, default=True)
    rebind: "Callable[..., LatentModel] | None" = eqx.field(static=True, default=None)
    starts: Mapping[str, Float[Array, "..."]] = eqx.field(default_factory=dict)

    @property
    def all_inputs(self) -> Inputs:
        """All that inference functions may read."""
        return Inputs(self.inputs, self.series, self.members)

    def reading(self, verdict: Verdict) -> "LatentModel":
        """The same model, whose inference functions read only what the verdict says is read."""
        if verdict.answer is not True:
            return self
        kept = columns_of(self.input_names, [given.name for given in verdict.inputs])
        return dataclasses.replace(
            self,
            inputs=jax.device_put(np.asarray(self.inputs)[:, np.asarray(kept, int)]),
            input_names=tuple(self.input_names[i] for i in kept),
        )

    def rows(self, index: RowIndex) -> Rows:
        """Take a batch of rows of the data.

        Args:
            index: positions of the rows, shape (batch,), in [0, N).

        Returns:
            The batch's data, in the form of all data, as `log_terms` takes them.

        Raises:
            SlicingError: the model can only be evaluated as a whole.
        """
        return self.density.take(self.data, index)

    def log_terms(self, theta: Sites, z: Sites, rows: Rows | None = None) -> LogTerms:
        """Evaluate all parts of the log joint at once.

        Args:
            theta: unconstrained globals by site, of the shapes in `globals_`.
            z: unconstrained locals by site, each of shape (rows, *locals_[site]).
            rows: a batch made by `rows`; all data if left out.

        Returns:
            The parts in nats; see `LogTerms`.
        """
        return self.density.log_terms(theta, z, self.data if rows is None else rows)

    def log_prior(self, theta: Sites, z: Sites | None = None, rows: Rows | None = None) -> Scalar:
        r"""Log density of the globals on the unconstrained scale, in nats.

        $\log p(\theta(u)) + \log|\det\partial\theta/\partial u|$.

        Args:
            theta: unconstrained globals by site.
            z: any locals of the right shape; zeros if left out. They do not enter the value.
            rows: any rows; the first row if left out.

        Returns:
            A scalar in nats, constants kept.
        """
        if rows is None:
            rows = self.rows(jnp.arange(min(2, self.size)))
            z = None
        values = self.zeros(min(2, self.size)) if z is None else z
        terms = self.log_terms(theta, values, rows)
        return terms.prior + terms.log_det

    def log_local(self, theta: Sites, z: Sites, rows: Rows | None = None) -> Float[Array, " rows"]:
        r"""For each row, $\log p(z_n\mid\theta) + \log p(x_n\mid z_n,\theta)$, in nats.

        Args:
            theta: unconstrained globals by site.
            z: unconstrained locals by site, each of shape (rows, *locals_[site]).
            rows: a batch made by `rows`; all data if left out.

        Returns:
            A vector over the rows, in nats per row, constants and log determinants kept.
        """
        return self.log_terms(theta, z, rows).local

    def log_joint(self, theta: Sites, z: Sites) -> Scalar:
        r"""The log joint of all data on the unconstrained scale, in nats, total.

        Args:
            theta: unconstrained globals by site.
            z: unconstrained locals by site, each of shape (N, *locals_[site]).

        Returns:
            A scalar: log prior plus the sum of the local terms.
        """
        terms = self.log_terms(theta, z)
        return terms.prior + terms.log_det + tree_sum(terms.local)

    def constrain(self, theta: Sites, z: Sites, rows: Rows | None = None) -> Values:
        """Map unconstrained values to the model's supports.

        Args:
            theta: unconstrained globals by site.
            z: unconstrained locals by site, rows first.
            rows: a batch made by `rows`; all data if left out.

        Returns:
            Constrained values by site, and deterministic sites, in the shapes the model has.
        """
        return self.density.constrain(theta, z, self.data if rows is None else rows)

    def joint(self) -> Joint:
        """The log joint as a density over all latents and all arrays, with nothing sliced."""
        return self.density.joint(self.data)

    @property
    def coupled(self) -> bool:
        """Whether local latents of different units touch each other, in some term."""
        return self.verdict is not None and self.verdict.kind is Kind.COUPLED

    def zeros(self, rows: int) -> dict[str, Float[Array, "rows ..."]]:
        """Unconstrained locals at zero for a number of rows, by site."""
        return {name: jnp.zeros((rows, *shape)) for name, shape in self.locals_.items()}
