"""A NumPyro model whose locals own groups of rows: log terms by group, for any batch of groups."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from amortis._types import RowIndex, Rows, Sites, Values
from amortis.model.bound_call import BoundCall
from amortis.model.latent_model import AbstractDensity, LogTerms
from amortis.model.numpyro_joint import NumPyroJoint
from amortis.model.whole_density import ByIdentity
from amortis.numerics import Groups, Members, group_sums
from amortis.structure import Joint, LatentAxis


class GroupedDensity(AbstractDensity):
    r"""$\log p(z_j\mid\theta) + \sum_{i: g(i) = j} \log p(x_i\mid z_j, \theta)$ for each group j.

    A batch of groups is evaluated on their own rows: arrays with one entry per row are gathered,
    padded to a length that the batch's size decides, and the padding does not count. The locals of
    all groups are handed to the model, those outside the batch as zeros, so that the index of
    groups keeps its meaning.

    Attributes:
        terms: log density by site.
        arrays: data that do not run along the rows.
        shape: latents, axes and constants of the model.
        axis: the latents' axis that carries the groups.
        groups: the group of each row.
        unit_sites: sites with one term per group, and the axis of their log probabilities.
        member_sites: sites with one term per row, and the axis.
    """

    terms: NumPyroJoint = eqx.field(static=True)
    arrays: dict[str, Array]
    shape: ByIdentity = eqx.field(static=True)
    axis: LatentAxis = eqx.field(static=True)
    groups: Groups
    unit_sites: Mapping[str, int] = eqx.field(static=True)
    member_sites: Mapping[str, int] = eqx.field(static=True)

    def log_terms(self, theta: Sites, z: Sites, rows: Rows) -> LogTerms:
        units: Array = rows["units"]
        latents = self._latents(theta, z, units)
        arrays = {**self.arrays, **rows["arrays"]}
        log_probs, log_dets = self.terms.parts(latents, arrays, elementwise=True)
        prior, log_det = jnp.zeros(()), jnp.zeros(())
        local = jnp.zeros(units.shape[0])
        local_priors = {name: jnp.zeros(units.shape[0]) for name in z}
        for name, value in log_probs.items():
            if name in self.unit_sites:
                by_unit = _by_entry(value, self.unit_sites[name])[units]
                local += by_unit
                if name in z:
                    local_priors[name] += by_unit
            elif name in self.member_sites:
                by_row = _by_entry(value, self.member_sites[name])
                local += group_sums(by_row, rows["entries"], units.shape[0])
            else:
                prior += jnp.sum(value)
        for name, value in log_dets.items():
            if name in self.axis.sites:
                by_unit = _by_entry(value, self.axis.sites[name])[units]
                local += by_unit
                local_priors[name] += by_unit
            else:
                log_det += jnp.sum(value)
        return LogTerms(prior, log_det, local, local_priors)

    def log_probs(self, theta: Sites, z: Sites, rows: Rows) -> dict[str, Array]:
        """Log probability of each site, unreduced, in nats."""
        latents = self._latents(theta, z, rows["units"])
        return self.terms.parts(latents, {**self.arrays, **rows["arrays"]})[0]

    def constrain(self, theta: Sites, z: Sites, rows: Rows) -> Values:
        units: Array = rows["units"]
        arrays = {**self.arrays, **rows["arrays"]}
        values = self.terms.constrain(self._latents(theta, z, units), arrays)
        if units.shape[0] == self.axis.size:
            return values
        return {
            n: jnp.take(v, units, axis=self.axis.sites[n]) if n in self.axis.sites else v
            for n, v in values.items()
        }

    def take(self, data: Rows, index: RowIndex) -> Rows:
        entries = self.groups.take(index)
        arrays = {n: jnp.take(v, entries.entry, axis=0) for n, v in data["arrays"].items()}
        return {"units": index, "arrays": arrays, "entries": entries}

    def joint(self, data: Rows) -> Joint:
        joint = self.shape.value
        assert isinstance(joint, Joint)
        return joint

    def bound_call(self, data: Rows) -> BoundCall:
        arrays = {**self.joint(data).constants, **self.arrays, **data["arrays"]}
        return self.terms.bound_call(arrays, (self.axis.size, data["entries"].entry.shape[0]))

    def _latents(self, theta: Sites, z: Sites, units: Array) -> dict[str, Array]:
        local = {}
        for name, value in z.items():
            whole = jnp.zeros((self.axis.size, *value.shape[1:]), value.dtype)
            local[name] = jnp.moveaxis(whole.at[units].set(value), 0, self.axis.sites[name])
        return {**theta, **local}


def all_rows(arrays: Mapping[str, Array], groups: Groups) -> dict[str, Any]:
    """The rows of all groups, as `GroupedDensity` takes them."""
    members: Members = groups.all()
    return {"units": jnp.arange(groups.count), "arrays": dict(arrays), "entries": members}


def _by_entry(values: Array, axis: int) -> Array:
    """Sums over all axes but one."""
    first = jnp.moveaxis(values, axis, 0)
    return jnp.sum(first.reshape(first.shape[0], -1), axis=1)
