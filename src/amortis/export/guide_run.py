"""`GuideRun`: the user's own model, run as a guide."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.distributions import constraints
from numpyro.primitives import Messenger

from amortis._errors import ArgumentError, DataError, StepwiseLatentsError
from amortis._types import Parameters
from amortis.export.call_inputs import Asked
from amortis.guide import Guide
from amortis.model import LatentModel
from amortis.model.numpyro_sites import unconstrained_bijection


class GuideRun(Messenger):
    r"""Puts the factors of $q(\theta)\prod_n q(z_n; f(w_n))$ into the latent sites of a model.

    Around the user's model this is a guide: plates are the model's own, with their sizes and
    subsamples of this call; a latent site gets its factor, pushed through the bijection to the
    support that the site has in this call; data and deterministic sites stay inside. So a support
    may depend on other latents, and handlers find ordinary sites.

    Args:
        model: the model as it was first bound.
        guide: gives the factors.
        axes: for each local site, the axis of its unconstrained value that carries the units.
        parameters: the guide's parameters.
        context: makes the context of the units that a call asks for.
        level: fixes each latent at this quantile of its factor and hides it; None to draw.
    """

    def __init__(
        self,
        model: LatentModel,
        guide: Guide,
        axes: Mapping[str, int],
        parameters: Parameters,
        context: Callable[[Asked], Any],
        level: Array | None = None,
    ) -> None:
        self._model, self._guide, self._axes = model, guide, axes
        self._parameters, self._context, self._level = parameters, context, level
        self._plates: dict[str, tuple[int, Array]] = {}
        self._local: tuple[Array, Array] | None = None
        self.latents: dict[str, Array] = {}
        self.deterministic: dict[str, Array] = {}
        super().__init__()

    def process_message(self, msg: Any) -> None:
        if msg["type"] == "control_flow":
            raise StepwiseLatentsError(
                "the model draws sites inside `scan` or `cond`, which a NumPyro guide cannot "
                "follow; expected latents in plates: use amortis.fit"
            )
        if msg["type"] == "deterministic":
            msg["stop"] = True
        if msg["type"] != "sample":
            return
        name, given = msg["name"], msg["is_observed"] or msg["value"] is not None
        if given or not (name in self._axes or name in self._model.globals_):
            msg["stop"] = True  # not a latent of the guide
            if not given:
                msg["kwargs"]["rng_key"] = numpyro.prng_key()
            return
        self._put_factor(msg)
        if self._level is not None:
            msg["stop"] = True

    def postprocess_message(self, msg: Any) -> None:
        if msg["type"] == "plate":
            self._plates[msg["name"]] = (msg["args"][0], msg["value"])
        elif msg["type"] == "deterministic":
            self.deterministic[msg["name"]] = msg["value"]
        elif msg["name"] in self._axes or msg["name"] in self._model.globals_:
            self.latents[msg["name"]] = msg["value"]

    def _put_factor(self, msg: Any) -> None:
        name, function = msg["name"], msg["fn"]
        bijection = unconstrained_bijection(name, function)
        shape = tuple(bijection.inverse_shape(function.shape()))
        mean, sd = self._moments(name, shape)
        # The model may weigh or mask a latent's prior; its factor is weighed by subsampling alone.
        msg["scale"] = self._weight(msg["cond_indep_stack"])
        if self._level is not None:
            msg["value"] = _at_level(bijection, mean, sd, self._level)
        elif name in self._axes or self._guide.global_family.is_density:
            base = dist.Normal(mean, sd).to_event(bijection.domain.event_dim)
            on_reals = _is_real(function.support)
            msg["fn"] = base if on_reals else dist.TransformedDistribution(base, bijection)
        else:
            msg["fn"] = dist.Delta(bijection(mean), event_dim=function.event_dim)

    def _weight(self, frames: Any) -> float | None:
        weight = 1.0
        for frame in frames:
            size, _ = self._plates[frame.name]
            weight *= size / frame.size
        return None if weight == 1.0 else weight

    def _moments(self, name: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Mean and sd of a site's unconstrained value, of the shape that it has in this call."""
        guide, axis = self._guide, self._axes.get(name)
        if axis is None:
            expected, found = self._model.globals_[name], shape
            moments = guide.global_moments(self._parameters)
            parts = [guide.theta.split(part)[name] for part in moments]
        else:
            place = axis % len(shape)
            expected, found = self._model.locals_[name], shape[:place] + shape[place + 1 :]
            moments = self._local_moments(shape[place])
            parts = [jnp.moveaxis(guide.z.split(part)[name], 0, axis) for part in moments]
        if found != tuple(expected):
            raise DataError(
                f"latent site {name!r} has shape {found} in this call, but {tuple(expected)} when "
                f"the guide was set up; expected data of the same kind, with as many groups and "
                f"columns"
            )
        return parts[0], parts[1]

    def _local_moments(self, units: int) -> tuple[Float[Array, "units d"], Float[Array, "units d"]]:
        if self._local is None:
            size, places = self._plates.get(self._model.plate, (units, None))
            asked = Asked(units, size, None if size == units else places)
            own = self._guide.inference.owns_rows
            if own and size != self._model.size:
                raise ArgumentError(
                    f"the guide has {type(self._guide.inference).__name__}(), a factor for each of "
                    f"the {self._model.size} units that it was set up with, but this call has "
                    f"{size}; expected an inference function such as MLP() for new data"
                )
            context = self._context(asked)
            raw = self._guide.offset + self._guide.inference(
                self._parameters["locals"], context, asked.index
            )
            self._local = jax.vmap(self._guide.local_family.moments)(raw)
        return self._local


def _is_real(support: Any) -> bool:
    return getattr(support, "base_constraint", support) is constraints.real


def _at_level(bijection: Any, mean: Array, sd: Array, level: Array) -> Array:
    """The value below which a factor has probability `level`, entry by entry.

    A bijection may fall, as that to the numbers below a bound does; then the other tail maps there.
    """
    at = [bijection(mean + sd * jax.scipy.special.ndtri(p)) for p in (0.25, 0.75, level, 1 - level)]
    return jnp.where(at[1] < at[0], at[3], at[2])
