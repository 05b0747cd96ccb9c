"""One abstract run of a whole NumPyro model, `scan` included: latents, their plates and shapes."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.primitives import Messenger

from amortis._errors import UnsupportedSiteError
from amortis.model.numpyro_sites import (
    peel,
    refuse_duplicate,
    run_abstractly,
    unconstrained_bijection,
)
from amortis.model.plates import SiteInfo


@dataclasses.dataclass(frozen=True)
class WholeSites:
    """What the run showed.

    Attributes:
        latents: unconstrained shape of each latent site.
        plates: for each latent site, the plates around it: name to (axis of the unconstrained
            value, size). The steps of a `scan` count as a plate.
        bare: latent sites with axes that no plate declares on their first axis.
        sites: all sample sites, the observed ones included.
    """

    latents: Mapping[str, tuple[int, ...]]
    plates: Mapping[str, Mapping[str, tuple[int, int]]]
    bare: tuple[str, ...]
    sites: tuple[SiteInfo, ...]


def record_whole(run: Callable[[], Any]) -> WholeSites:
    """Run the model abstractly and record its latent sites.

    Args:
        run: calls the model on its data, with no arguments.

    Returns:
        What the run showed.

    Raises:
        ModelRaisedError: the model raised; its exception is kept as the cause.
        ModelError: a latent that is discrete or has no support, or a `param` site.
    """
    recorder = _Recorder()
    run_abstractly(run, recorder)
    return WholeSites(
        recorder.latents, recorder.plates, tuple(recorder.bare), tuple(recorder.sites)
    )


class _Recorder(Messenger):
    def __init__(self) -> None:
        self.latents: dict[str, tuple[int, ...]] = {}
        self.plates: dict[str, dict[str, tuple[int, int]]] = {}
        self.bare: list[str] = []
        self.sites: list[SiteInfo] = []
        self._scans = 0
        self._named: dict[str, str] = {}
        super().__init__()

    def process_message(self, msg: Any) -> None:
        if msg["type"] in ("sample", "plate", "deterministic"):
            refuse_duplicate(msg, self._named)
        if msg["type"] == "param":
            raise UnsupportedSiteError(
                f"the model has a param site {msg['name']!r}; expected sample sites only: give it "
                f"a prior (or ImproperUniform) and fit with globals_=amortis.Point()"
            )
        if msg["type"] == "control_flow":
            self._scans += 1
        if msg["type"] == "sample" and not msg["is_observed"] and msg["value"] is None:
            bijection = unconstrained_bijection(msg["name"], msg["fn"])
            shape = tuple(bijection.inverse_shape(msg["fn"].shape()))
            msg["value"] = bijection(jnp.zeros(shape))

    def postprocess_message(self, msg: Any) -> None:
        if msg["type"] != "sample":
            return
        name, frames = msg["name"], msg["cond_indep_stack"]
        around = {f.name: (f.dim, f.size) for f in frames}
        terms = jnp.shape(jax.eval_shape(peel(msg["fn"]).log_prob, msg["value"]))
        leading = terms[0] if terms else None
        event = msg["fn"].event_dim - peel(msg["fn"]).event_dim
        self.sites.append(SiteInfo(name, bool(msg["is_observed"]), around, leading, event))
        if msg["is_observed"]:
            return
        bijection = unconstrained_bijection(name, msg["fn"])
        shape = tuple(bijection.inverse_shape(msg["fn"].shape()))
        event = bijection.domain.event_dim
        plates = {f.name: (len(shape) - event + f.dim, f.size) for f in frames}
        if msg.get("_control_flow_done", False):
            plates[f"scan {self._scans}"] = (0, shape[0])
        self.latents[name], self.plates[name] = shape, plates
        if shape and all(axis != 0 for axis, _ in plates.values()):
            self.bare.append(name)
