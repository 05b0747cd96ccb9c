"""What a guide finds at its first call: the bound model, the guide, and where it starts."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp

from amortis._errors import ArgumentError, NoLocalPlateError
from amortis._require import require_kind
from amortis._types import Parameters, RandomKey
from amortis.export.minibatches import as_whole
from amortis.families import AbstractFamily, DiagonalNormal
from amortis.fitting import Fit, with_inference
from amortis.guide import Guide
from amortis.inference_functions import AbstractInferenceFunction, AbstractIterated
from amortis.model import LatentModel, from_numpyro
from amortis.model.grouped_density import GroupedDensity
from amortis.model.numpyro_density import NumPyroDensity
from amortis.model.whole_density import WholeDensity


@runtime_checkable
class _OfNumPyro(Protocol):
    """What a model that was bound from NumPyro keeps to be bound again."""

    function: Callable[..., Any]
    local: str | None


@dataclasses.dataclass(frozen=True)
class Bound:
    """What the first call found.

    Attributes:
        model: the model, bound to the data of that call.
        guide: the guide made for it.
        axes: for each local site, the axis of its unconstrained value that carries the units.
        start: the parameters that are registered, with entries `globals` and `locals`.
        arguments: positional and keyword arguments of that call, where they are known.
    """

    model: LatentModel
    guide: Guide
    axes: Mapping[str, int]
    start: Parameters
    arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def starting(self, key: RandomKey, first: Any, scale: float) -> "Bound":
        """The same with new starting parameters.

        Args:
            key: random key of the inference function.
            first: unconstrained values of all latents, of which the globals' are their means.
            scale: standard deviation of all latents.
        """
        guide = self.guide.starting_at(math.log(scale))
        start = guide.init(key)
        mean = guide.theta.join({n: jnp.asarray(first[n]) for n in self.model.globals_})
        raw = guide.global_family.start(guide.theta.dimension, math.log(scale))
        # Means come first in the raw parameters of both families.
        start["globals"] = raw.at[: mean.shape[0]].set(mean.astype(raw.dtype))
        return dataclasses.replace(self, guide=guide, start=start)


def bind(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    local: str | None,
    inference: AbstractInferenceFunction | None,
    global_family: AbstractFamily,
) -> Bound:
    """Bind a NumPyro model to the data of a call, and make its guide.

    Args:
        function: the model.
        args: its positional arguments.
        kwargs: its keyword arguments.
        local: name of the local plate or site, or None.
        inference: the inference function, or None for that which `check` finds to be enough.
        global_family: the factor of the globals.

    Raises:
        ModelError: see `from_numpyro`.
    """
    try:
        model = from_numpyro(as_whole(function, args, kwargs), *args, local=local, **kwargs)
    except NoLocalPlateError as error:
        raise NoLocalPlateError(f"{error}; without locals use NumPyro's AutoNormal") from error
    if not model.locals_:
        raise NoLocalPlateError(
            f"no latent has one entry per row: latent sites {list(model.globals_)}; without locals "
            f"use NumPyro's AutoNormal, or amortis.fit"
        )
    model, inference = with_inference(model, inference)
    guide = Guide.for_model(model, inference, global_family, DiagonalNormal())
    return Bound(model, guide, unit_axes(model), {}, (args, kwargs))


def source_of(fit: Fit) -> tuple[Callable[..., Any], str | None]:
    """The NumPyro model of a fit, and what was said of its locals.

    Raises:
        ArgumentError: the fit's model is no NumPyro model.
    """
    source = fit.model.rebind
    if not isinstance(source, _OfNumPyro):
        raise ArgumentError(
            "the model of this fit is no NumPyro model; expected one made by from_numpyro: "
            "NumPyro's handlers have nothing to run"
        )
    return source.function, source.local


def params_of(fit: Fit, *, prefix: str = "auto") -> dict[str, Any]:
    """A fit's parameters under the names that `AutoAmortizedNormal.from_fit` gives them.

    Args:
        fit: the fit.
        prefix: of the names.

    Returns:
        By name, as NumPyro's handlers and `Predictive(params=...)` take them.
    """
    require_kind("fit", fit, Fit, "amortis.fit(model, key=key)")
    return {f"{prefix}_{part}": fit.variational[part] for part in ("globals", "locals")}


def unit_axes(model: LatentModel) -> dict[str, int]:
    """For each local site, the axis of its unconstrained value that carries the units."""
    density = model.density
    if isinstance(density, GroupedDensity | WholeDensity):
        return dict(density.axis.sites)
    assert isinstance(density, NumPyroDensity)  # `from_numpyro` makes no others
    return {name: axis for name, axis in density.local_sites.items() if axis is not None}


def require_no_steps(inference: AbstractInferenceFunction | None) -> None:
    """Refuse a function that climbs the ELBO of bound data, which the data of a call have not.

    Raises:
        ArgumentError: `Iterative(…)` or `GradientAscent(…)`.
    """
    if isinstance(inference, AbstractIterated):
        raise ArgumentError(
            f"inference is {type(inference).__name__}(...), whose steps climb the ELBO of the "
            f"model's own data, while NumPyro hands a guide other data at every call; expected a "
            f"function of rows, such as amortis.MLP(): a fit's own draws are fit.posterior(key=key)"
        )


def require_normal(name: str, family: Any, allowed: tuple[type, ...]) -> None:
    """Refuse a family whose sites are not independent normals.

    Raises:
        ArgumentError: another family.
    """
    if not isinstance(family, allowed):
        raise ArgumentError(
            f"{name} is {type(family).__name__}(); expected "
            f"{' or '.join(f'{kind.__name__}()' for kind in allowed)}: NumPyro's sites of this "
            f"guide are independent normals"
        )
