"""One run of a NumPyro model forwards: globals given, locals and data drawn."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array
from numpyro.primitives import Messenger

from amortis._errors import ArgumentError
from amortis._types import RandomKey, Sites
from amortis.model.numpyro_sites import unconstrained_bijection


class ForwardRun(Messenger):
    """Draws what a model observes instead of observing it.

    Attributes:
        values: the value of every latent site, and of every observed site that was drawn.
        functions: the distribution of every latent site.
        given: of each observed site that was drawn, the value that the model observed.
        drawn: of the same sites, the value that was drawn. Entries that the model masks are left as
            they are given.
        unmasked: the same with all entries drawn.
        factors: observed sites without a sampler, which are left alone.
        rescaled: sites whose log density is multiplied, such as by `numpyro.handlers.scale`.
    """

    def __init__(
        self, theta: Sites, key: RandomKey, along: frozenset[str] | None, *, weighted: bool
    ) -> None:
        """Prepare the run.

        Args:
            theta: unconstrained globals by site, which are not drawn.
            key: random key.
            along: the observed sites to draw, those along the units; all if None.
            weighted: whether the plate of units multiplies its terms by N/B, which is no law.
        """
        self._theta, self._along, self._weighted = theta, along, weighted
        self._key, self._seed = jax.random.split(key)
        self._sampled = 0
        self.values: dict[str, Array] = {}
        self.functions: dict[str, Any] = {}
        self.given: dict[str, Array] = {}
        self.drawn: dict[str, Array] = {}
        self.unmasked: dict[str, Array] = {}
        self.factors: list[str] = []
        self.rescaled: list[str] = []
        super().__init__()

    def __enter__(self) -> None:
        self._outer = numpyro.handlers.seed(rng_seed=self._seed)
        self._outer.__enter__()
        super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._outer.__exit__(*error)

    def process_message(self, msg: Any) -> None:
        if msg["type"] != "sample" or msg.get("_control_flow_done", False):
            return
        name, function = msg["name"], msg["fn"]
        if msg["is_observed"]:
            if self._along is not None and name not in self._along:
                return
            if isinstance(function, dist.Unit):
                self.factors.append(name)
                return
            self.given[name] = jnp.asarray(msg["value"])
            msg["is_observed"] = False
            self.unmasked[name] = self._sample(msg)
            self.drawn[name] = _masked(function, self.unmasked[name], self.given[name])
            msg["value"] = self.drawn[name]
        elif name in self._theta:
            msg["value"] = unconstrained_bijection(name, function)(self._theta[name])
        elif msg["value"] is None:
            msg["value"] = self._sample(msg)

    def postprocess_message(self, msg: Any) -> None:
        if msg["type"] != "sample":
            return
        name = msg["name"]
        if msg["is_observed"] and (self._along is None or name in self._along):
            if name not in self.factors:
                self.factors.append(name)  # inside `scan`, where it could not be drawn
            return
        if msg["scale"] is not None and not self._weighted and name not in self._theta:
            self.rescaled.append(name)
        if not msg["is_observed"]:
            self.values[name] = msg["value"]
        if name not in self.drawn:
            self.functions[name] = msg["fn"]

    def _sample(self, msg: Any) -> Array:
        self._sampled += 1
        shape = msg["kwargs"].get("sample_shape", ())
        try:
            return msg["fn"].sample(jax.random.fold_in(self._key, self._sampled), shape)
        except NotImplementedError as error:
            raise ArgumentError(
                f"site {msg['name']!r} has no sampler ({type(msg['fn']).__name__}), so that no "
                f"data can be drawn from the model; expected distributions that can be sampled: "
                f"give it a proper one"
            ) from error


def _masked(function: Any, drawn: Array, given: Array) -> Array:
    """What was drawn, but where the model masks the observation what was given."""
    while isinstance(function, dist.Independent | dist.ExpandedDistribution):
        function = function.base_dist
    if not isinstance(function, dist.MaskedDistribution) or drawn.shape != given.shape:
        return drawn
    mask = jnp.asarray(function._mask)  # pyright: ignore
    mask = jnp.reshape(mask, (*mask.shape, *(1,) * function.event_dim)) if mask.ndim else mask
    return jnp.where(mask, drawn, given.astype(drawn.dtype))
