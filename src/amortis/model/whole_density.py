"""A NumPyro model taken as a whole: its local latents touch each other, or rows they share."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amortis._errors import SlicingError
from amortis._types import RowIndex, Rows, Sites, Values
from amortis.model.bound_call import BoundCall
from amortis.model.latent_model import AbstractDensity, LogTerms
from amortis.model.numpyro_joint import NumPyroJoint
from amortis.structure import Joint, LatentAxis


class ByIdentity:
    """A value that compiled functions know by identity: it may hold arrays, which have no hash."""

    def __init__(self, value: Any) -> None:
        self.value = value


class WholeDensity(AbstractDensity):
    """All terms at once; no term belongs to a row, and no row can be evaluated alone.

    Attributes:
        terms: log density by site.
        arrays: the data.
        shape: latents, axes and constants of the model.
        axis: the latents' axis that carries the units.
    """

    terms: NumPyroJoint = eqx.field(static=True)
    arrays: dict[str, Array]
    shape: ByIdentity = eqx.field(static=True)
    axis: LatentAxis = eqx.field(static=True)

    @classmethod
    def of(cls, joint: Joint, axis: LatentAxis) -> "WholeDensity":
        """The density of a NumPyro model's joint."""
        assert isinstance(joint.density, NumPyroJoint)
        return cls(joint.density, dict(joint.arrays), ByIdentity(joint), axis)

    def log_terms(self, theta: Sites, z: Sites, rows: Rows) -> LogTerms:
        log_probs, log_dets = self.terms.parts(self._latents(theta, z), self._data())
        log_det = sum((jnp.sum(log_dets[n]) for n in theta if n in log_dets), jnp.zeros(()))
        every = [*log_probs.values(), *(v for n, v in log_dets.items() if n not in theta)]
        total = sum((jnp.sum(v) for v in every), jnp.zeros(()))
        return LogTerms(total, log_det, jnp.zeros(self.axis.size))

    def log_probs(self, theta: Sites, z: Sites) -> dict[str, Array]:
        """Log probability of each site, unreduced, in nats."""
        return self.terms.parts(self._latents(theta, z), self._data())[0]

    def constrain(self, theta: Sites, z: Sites, rows: Rows) -> Values:
        return self.terms.constrain(self._latents(theta, z), self._data())

    def take(self, data: Rows, index: RowIndex) -> Rows:
        if index.shape[0] == self.axis.size:
            return data
        raise SlicingError(
            f"the units of {self.axis.name!r} were to be subsampled, but this model can only be "
            f"evaluated with all {self.axis.size} of them: use all rows, as FixedDraws() does"
        )

    def joint(self, data: Rows) -> Joint:
        joint = self.shape.value
        assert isinstance(joint, Joint)
        return joint

    def bound_call(self, data: Rows) -> BoundCall:
        return self.terms.bound_call(self._data(), (self.axis.size,))

    def _latents(self, theta: Sites, z: Sites) -> dict[str, Array]:
        local = {n: jnp.moveaxis(v, 0, self.axis.sites[n]) for n, v in z.items()}
        return {**theta, **local}

    def _data(self) -> Mapping[str, Array | np.ndarray]:
        return {**self.arrays, **self.shape.value.constants}
