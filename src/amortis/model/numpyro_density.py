"""Log terms of a NumPyro model by row: the model is run once per evaluation, on a batch of rows."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpyro
from jaxtyping import Array, Float
from numpyro.infer.util import log_density
from numpyro.primitives import Messenger

from amortis._types import RowIndex, Rows, Sites, Values
from amortis.model.arguments import Arguments, CallTemplate
from amortis.model.bound_call import BoundCall
from amortis.model.latent_model import AbstractDensity, LatentModel, LogTerms, take_rows
from amortis.model.numpyro_joint import numpyro_joint
from amortis.model.numpyro_sites import peel, unconstrained_bijection
from amortis.model.parameter import Parameter
from amortis.model.plates import LocalAxis
from amortis.structure import Joint


class NumPyroDensity(AbstractDensity):
    """A NumPyro model as log terms.

    Rows are taken in one of two ways. Where the model sizes its plate from its data, its arguments
    are sliced. Where it subsamples its plate (`plate(..., subsample_size)` with `subsample` or the
    plate's index), the data stay whole and the plate is handed the indices of the batch.

    Attributes:
        template: how to call the model.
        others: the arrays that carry no rows (all arrays where the plate is subsampled).
        axis: the row axis.
        local_sites: all sites along the row axis, with the axis of an unconstrained latent's rows
            counted from the right (None for observed sites).
        subsampled: whether the plate is handed indices.
    """

    template: CallTemplate = eqx.field(static=True)
    others: tuple[Any, ...]
    axis: LocalAxis = eqx.field(static=True)
    local_sites: Mapping[str, int | None] = eqx.field(static=True)
    subsampled: bool = eqx.field(static=True)

    def log_terms(self, theta: Sites, z: Sites, rows: Rows) -> LogTerms:
        run = self._run(theta, z, rows)
        prior, log_det, local = jnp.zeros(()), jnp.zeros(()), None
        local_priors: dict[str, Array] = {}
        for name, site in run.sites.items():
            if name in self.local_sites:
                value = self._by_row(self._log_prob(site, rows))
                value += self._by_row(run.log_dets[name]) if name in run.log_dets else 0.0
                local = value if local is None else local + value
                if name in z:
                    local_priors[name] = value
            else:
                prior += jnp.sum(self._log_prob(site, rows))
                log_det += jnp.sum(run.log_dets[name]) if name in run.log_dets else 0.0
        assert local is not None  # the row axis was found on one of the local sites
        return LogTerms(prior, log_det, local, local_priors)

    def site_log_probs(self, theta: Sites, z: Sites, rows: Rows) -> dict[str, Array]:
        """Log probability of each site, unreduced, in nats; to name the one that is not finite."""
        sites = self._run(theta, z, rows).sites
        return {name: self._log_prob(site, rows) for name, site in sites.items()}

    def sites_at(self, theta: Sites, z: Sites, rows: Rows) -> dict[str, Any]:
        """Every sample site of the run at these values: its name, distribution and value."""
        return self._run(theta, z, rows).sites

    def rows_first(self, values: Array, event_dim: int) -> Float[Array, "rows columns"]:
        """The entries of a local site as a matrix with one row per row.

        Args:
            values: of the shape of the site's value, with as many more axes behind as `event_dim`
                leaves out.
            event_dim: number of axes of one event of the site.
        """
        axis = 0 if self.axis.dim is None else self.axis.dim - event_dim
        first = jnp.moveaxis(values, axis, 0)
        return first.reshape(first.shape[0], -1)

    def constrain(self, theta: Sites, z: Sites, rows: Rows) -> Values:
        run = self._run(theta, z, rows)
        latent = {
            n: s["value"]
            for n, s in run.sites.items()
            if (n in theta or n in z) and not isinstance(s["fn"], Parameter)
        }
        return latent | run.deterministic

    def at_zero(self, model: LatentModel) -> Mapping[str, Any]:
        """The sample sites of a run on a model's rows with unconstrained latents at zero."""
        theta = {name: jnp.zeros(shape) for name, shape in model.globals_.items()}
        return self._run(theta, model.zeros(model.size), model.data).sites

    def take(self, data: Rows, index: RowIndex) -> Rows:
        return take_rows(data, index)

    def joint(self, data: Rows) -> Joint:
        arguments = Arguments(
            self.template.function,
            self.template.structure,
            self._leaves(data),
            self.template.names,
        )
        return numpyro_joint(arguments, self.axis.name)

    def bound_call(self, data: Rows) -> BoundCall:
        arguments = dict(zip(self.template.names, self._leaves(data), strict=True))
        return BoundCall(lambda: self.call(data), arguments, (self.axis.size,))

    def _leaves(self, data: Rows) -> tuple[Any, ...]:
        return self.template.leaves(() if self.subsampled else data["arrays"], self.others)

    def log_density(self, theta: Sites, z: Sites, rows: Rows) -> Array:
        """NumPyro's own log joint of these rows on the unconstrained scale: the oracle.

        Where the plate is subsampled NumPyro weighs the batch by N/B, and so are the log
        determinants that are added here.
        """
        run = self._run(theta, z, rows)
        values = {name: site["value"] for name, site in run.sites.items()}
        latent = {name: values[name] for name in (*theta, *z)}
        with numpyro.handlers.seed(rng_seed=0):
            log_joint, _ = log_density(lambda: self.call(rows), (), {}, latent)
        batch = rows["index"].shape[0] if self.subsampled else self.axis.size
        for name, log_det in run.log_dets.items():
            weight = self.axis.size / batch if name in self.local_sites else 1.0
            log_joint += weight * jnp.sum(log_det)
        return jnp.asarray(log_joint)

    def _run(self, theta: Sites, z: Sites, rows: Rows) -> "_Run":
        run = _Run(theta, z, self.local_sites)
        with run, numpyro.handlers.seed(rng_seed=0):
            self.call(rows)
        return run

    def call(self, rows: Rows) -> None:
        """Run the user's model on these rows, under whatever handlers are entered."""
        if self.subsampled:
            with _PlateIndex(self.axis.name, rows["index"]):
                self.template.call((), self.others)
        else:
            self.template.call(rows["arrays"], self.others)

    def _log_prob(self, site: Any, rows: Rows) -> Array:
        along_rows = site["name"] in self.local_sites
        function = peel(site["fn"]) if along_rows and self.axis.dim is None else site["fn"]
        value = function.log_prob(site["value"])
        scale = 1.0 if site["scale"] is None else site["scale"]
        if self.subsampled and along_rows:
            # NumPyro has multiplied the site by N/B; the weight of a batch is applied elsewhere.
            scale = scale * (rows["index"].shape[0] / self.axis.size)
        return scale * value

    def _by_row(self, values: Array) -> Array:
        dim = 0 if self.axis.dim is None else self.axis.dim
        rows_first = jnp.moveaxis(values, dim, 0)
        return jnp.sum(rows_first.reshape(rows_first.shape[0], -1), axis=1)


class _Run(Messenger):
    """Puts unconstrained values through their bijections into the latent sites, in model order."""

    def __init__(self, theta: Sites, z: Sites, local_sites: Mapping[str, int | None]) -> None:
        self._theta, self._z, self._local_sites = theta, z, local_sites
        self.sites: dict[str, Any] = {}
        self.log_dets: dict[str, Array] = {}
        self.deterministic: dict[str, Array] = {}
        super().__init__()

    def process_message(self, msg: Any) -> None:
        if msg["type"] != "sample" or msg["is_observed"] or msg["value"] is not None:
            return
        name, function = msg["name"], msg["fn"]
        if name in self._z:
            axis = self._local_sites[name]
            assert axis is not None  # latent sites along the rows have their axis recorded
            value = jnp.moveaxis(self._z[name], 0, axis)
            function = peel(function) if axis == 0 else function
        else:
            value = self._theta[name]
        bijection = unconstrained_bijection(name, function)
        msg["value"] = bijection(value)
        self.log_dets[name] = bijection.log_abs_det_jacobian(value, msg["value"])

    def postprocess_message(self, msg: Any) -> None:
        if msg["type"] == "sample":
            self.sites[msg["name"]] = dict(msg)
        elif msg["type"] == "deterministic":
            self.deterministic[msg["name"]] = msg["value"]


class _PlateIndex(Messenger):
    """Hands one plate the indices of a batch instead of a random subsample."""

    def __init__(self, plate: str, index: Array) -> None:
        self._plate, self._index = plate, index
        super().__init__()

    def process_message(self, msg: Any) -> None:
        if msg["type"] == "plate" and msg["name"] == self._plate:
            msg["args"] = (msg["args"][0], self._index.shape[0])
            msg["value"] = self._index
