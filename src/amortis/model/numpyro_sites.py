"""One abstract run of a NumPyro model: sites, plates and supports, computing nothing."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import biject_to
from numpyro.primitives import Messenger

from amortis._errors import (
    DiscreteLatentError,
    ImproperSupportError,
    ModelError,
    ModelRaisedError,
    StepwiseLatentsError,
    UnsupportedSiteError,
    first_line,
)
from amortis.model.plates import SiteInfo


@dataclasses.dataclass(frozen=True)
class LatentInfo:
    """Unconstrained shape of one latent site, and how many of its axes are event axes."""

    name: str
    unconstrained_shape: tuple[int, ...]
    event_dim: int


@dataclasses.dataclass(frozen=True)
class ModelSites:
    """What one run of the model showed.

    Attributes:
        sites: all sample sites.
        latents: the latent ones by name, with their unconstrained shapes.
        plates: each plate's (size, subsample size).
    """

    sites: tuple[SiteInfo, ...]
    latents: dict[str, LatentInfo]
    plates: dict[str, tuple[int, int]]


def peel(distribution: Any) -> Any:
    """The elementwise distribution inside `.to_event`, whose log density keeps the event axes."""
    while isinstance(distribution, dist.Independent):
        distribution = distribution.base_dist
    return distribution


def family_name(distribution: Any) -> str:
    """The name of a distribution, without what wraps it."""
    while isinstance(distribution, dist.Independent | dist.ExpandedDistribution):
        distribution = distribution.base_dist
    return type(distribution).__name__


def unconstrained_bijection(site: str, distribution: Any) -> Any:
    """The bijection from the unconstrained reals to the support of a latent site.

    Raises:
        DiscreteLatentError: the support is discrete.
        ImproperSupportError: the distribution does not say what its support is.
    """
    support = distribution.support
    if support is None or support is dist.constraints.dependent:
        raise ImproperSupportError(
            f"latent site {site!r} ({family_name(distribution)}) has no support; give it one, "
            f"as in `ImproperUniform(constraints.positive, (), ())`"
        )
    if support.is_discrete:
        raise DiscreteLatentError(
            f"latent site {site!r} ({family_name(distribution)}) is discrete; expected a "
            f"continuous latent: sum it out in the model (for mixtures, `MixtureSameFamily`)"
        )
    try:
        return biject_to(support)
    except NotImplementedError as error:
        raise ImproperSupportError(
            f"latent site {site!r} has support {support}, for which NumPyro has no bijection; "
            f"reparameterize it onto the reals"
        ) from error


def value_at_zero(name: str, distribution: Any) -> Any:
    """The value of a latent site whose unconstrained value is zero; see above for errors."""
    bijection = unconstrained_bijection(name, distribution)
    return bijection(jnp.zeros(bijection.inverse_shape(distribution.shape())))


def inspect_model(run: Callable[[], Any]) -> ModelSites:
    """Run the model abstractly and record its sites.

    Args:
        run: calls the model on its data, with no arguments.

    Returns:
        Its sites, latents and plates.

    Raises:
        ModelRaisedError: the model raised; its exception is kept as the cause.
        UnsupportedSiteError: a discrete latent, one without support, a `param` site, or a latent
            inside `scan`.
    """
    recorder = _Recorder()
    run_abstractly(run, recorder)
    if recorder.parameters:  # those that every run has are drawn outside of the model
        raise UnsupportedSiteError(
            f"the model has a param site {recorder.parameters[0]!r} in this run only; expected the "
            f"same sites in every run: call numpyro.param whatever the data are"
        )
    return ModelSites(tuple(recorder.sites), recorder.latents, recorder.plates)


def run_abstractly(run: Callable[[], Any], recorder: Messenger) -> None:
    """Run the model without computing anything, under a handler that writes down what it sees.

    Args:
        run: calls the model on its data, with no arguments.
        recorder: the handler.

    Raises:
        ModelRaisedError: the model raised; its exception is kept as the cause.
        ModelError: what the handler refuses.
    """

    def traced() -> None:
        with recorder, numpyro.handlers.seed(rng_seed=0):
            run()

    try:
        jax.eval_shape(traced)
    except ModelError:
        raise
    except Exception as error:
        raise ModelRaisedError(
            f"the model raised {type(error).__name__} when it was run on its data: "
            f"{first_line(error)}"
        ) from error


def refuse_duplicate(msg: Any, seen: dict[str, str]) -> None:
    """Refuse a site or plate whose name another one has; NumPyro itself does so only in a trace.

    Args:
        msg: the message of a site or plate.
        seen: names so far, with what has them; the new one is added.

    Raises:
        UnsupportedSiteError: the name is taken.
    """
    name, kind = msg["name"], "plate" if msg["type"] == "plate" else "site"
    if name in seen and not (kind == seen[name] == "plate"):
        raise UnsupportedSiteError(
            f"the {kind} {name!r} has the name of a {seen[name]}; expected every site and plate to "
            f"have a name of its own: rename one"
        )
    seen[name] = kind


class _Recorder(Messenger):
    """Gives every latent site the value at unconstrained zero and writes down what it sees."""

    def __init__(self) -> None:
        self.sites: list[SiteInfo] = []
        self.latents: dict[str, LatentInfo] = {}
        self.plates: dict[str, tuple[int, int]] = {}
        self.parameters: list[str] = []
        self._named: dict[str, str] = {}
        super().__init__()

    def process_message(self, msg: Any) -> None:
        if msg["type"] in ("sample", "plate", "deterministic"):
            refuse_duplicate(msg, self._named)
        if msg["type"] == "control_flow":
            raise StepwiseLatentsError(
                "the model draws sites inside `scan` or `cond`; expected local latents in a plate "
                "or a vectorized prior: such models are coupled from row to row"
            )
        if msg["type"] == "sample" and msg["value"] is None:
            msg["value"] = self._start(msg["name"], msg["fn"])

    def postprocess_message(self, msg: Any) -> None:
        if msg["type"] == "param" and msg["value"] is not None:
            self.parameters.append(msg["name"])
        if msg["type"] == "plate":
            size, subsample = msg["args"]
            self.plates[msg["name"]] = (size, size if subsample is None else subsample)
        if msg["type"] == "sample":
            frames = msg["cond_indep_stack"]
            shape = jnp.shape(jax.eval_shape(peel(msg["fn"]).log_prob, msg["value"]))
            self.sites.append(
                SiteInfo(
                    name=msg["name"],
                    observed=bool(msg["is_observed"]),
                    plates={f.name: (f.dim, f.size) for f in frames},
                    leading=shape[0] if shape else None,
                )
            )

    def _start(self, name: str, distribution: Any) -> Any:
        bijection = unconstrained_bijection(name, distribution)
        shape = tuple(bijection.inverse_shape(distribution.shape()))
        self.latents[name] = LatentInfo(name, shape, bijection.domain.event_dim)
        return value_at_zero(name, distribution)
