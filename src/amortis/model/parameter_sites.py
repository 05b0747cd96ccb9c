r"""`numpyro.param` sites: values of the model that are searched for and have no prior.

Weights of a decoder come to NumPyro as one `param` site that holds a pytree (`eqx_module`,
`nnx_module`, `flax_module`). Here every leaf of it becomes a site of its own, which the model draws
before all else from a distribution without a density: it adds nothing to the log joint, so that
what is maximised over it is the likelihood.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import numpyro
from jaxtyping import Array
from numpyro.distributions import biject_to, constraints
from numpyro.primitives import Messenger

from amortis._errors import UnsupportedSiteError
from amortis.model.arguments import Arguments
from amortis.model.numpyro_sites import value_at_zero
from amortis.model.parameter import Parameter

_SUFFIX = "$params"
"""What NumPyro's module primitives put behind the name of a module."""


@dataclasses.dataclass(frozen=True, eq=False)
class ParameterSite:
    """One `param` site of a model.

    Attributes:
        name: the site's.
        leaves: names of its leaves, as sites of their own.
        starts: the leaves' values where the search for them starts.
        free: for each leaf, whether it is searched for; others have a prior in the model, which
            `random_eqx_module` and its like put there, or are no floating point numbers.
        structure: of the pytree.
        constraint: where the values lie.
    """

    name: str
    leaves: tuple[str, ...]
    starts: tuple[np.ndarray, ...]
    free: tuple[bool, ...]
    structure: Any
    constraint: Any

    def unconstrained_starts(self) -> dict[str, np.ndarray]:
        """Where the search for each free leaf starts, on the unconstrained scale."""
        bijection = biject_to(self.constraint)
        pairs = zip(self.leaves, self.starts, self.free, strict=True)
        return {name: np.asarray(bijection.inv(start)) for name, start, free in pairs if free}

    def filled(self, values: Mapping[str, Any]) -> Any:
        """The pytree with these values of its free leaves."""
        pairs = zip(self.leaves, self.starts, self.free, strict=True)
        leaves = [values[name] if free else start for name, start, free in pairs]
        return jax.tree.unflatten(self.structure, leaves)

    def __eq__(self, other: object) -> bool:
        """By value, so that what was compiled for one binding of a model serves the next."""
        if not isinstance(other, ParameterSite):
            return NotImplemented
        alike = self._form() == other._form()
        return alike and all(map(np.array_equal, self.starts, other.starts))

    def __hash__(self) -> int:
        return hash(self._form())

    def _form(self) -> tuple[Any, ...]:
        return self.name, self.leaves, self.free, self.structure, self.constraint


def parameter_sites(run: Callable[[], Any]) -> tuple[ParameterSite, ...]:
    """The `param` sites of a model.

    Args:
        run: calls the model on its data, with no arguments.

    Returns:
        The sites with their starts, computed with one fixed key where they are random; none where
        the model raises, which `inspect_model` then reports.

    Raises:
        UnsupportedSiteError: a site without a value.
    """
    found: dict[str, Any] = {}

    def traced() -> dict[str, Any]:
        recorder = _Recorder()
        with recorder, numpyro.handlers.seed(rng_seed=0):
            run()
        found["constraints"], found["latents"] = recorder.constraints, recorder.latents
        return recorder.values

    try:
        shapes = jax.eval_shape(traced)
    except Exception:
        return ()  # the next who runs the model says in one line what it raised
    if not shapes:
        return ()
    # Compiled, so that all of the run that no start depends on is left out.
    values = jax.device_get(jax.jit(traced)())
    return tuple(
        _site(name, values[name], constraint, found["latents"])
        for name, constraint in found["constraints"].items()
    )


@dataclasses.dataclass(frozen=True)
class ParametricModel:
    """A model every free leaf of whose `param` sites is drawn as a site of its own.

    They are drawn before the model runs, outside of its plates.

    Attributes:
        function: the model.
        sites: its `param` sites.
    """

    function: Callable[..., Any]
    sites: tuple[ParameterSite, ...]

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The model, whose signature and name this one has."""
        return self.function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model."""
        with _Given({site.name: site.filled(_drawn(site)) for site in self.sites}):
            return self.function(*args, **kwargs)


def with_parameter_sites(
    arguments: Arguments, sites: tuple[ParameterSite, ...] | None = None
) -> tuple[Arguments, tuple[ParameterSite, ...]]:
    """A call of a model with all of its latents in sample sites.

    Args:
        arguments: the model and its data.
        sites: its `param` sites, if they are known.

    Returns:
        The call, and its sites.

    Raises:
        UnsupportedSiteError: a `param` site without a value.
    """
    if sites is None:
        template, _, others = arguments.split(None)
        sites = parameter_sites(lambda: template.call((), others))
    if not sites:
        return arguments, sites
    return dataclasses.replace(
        arguments, function=ParametricModel(arguments.function, sites)
    ), sites


def starts_of(sites: Sequence[ParameterSite]) -> dict[str, Array]:
    """Where the search for each free leaf starts, on the unconstrained scale."""
    each = [site.unconstrained_starts() for site in sites]
    return {name: jax.device_put(start) for starts in each for name, start in starts.items()}


def parameter_values(
    sites: Sequence[ParameterSite], unconstrained: Mapping[str, Array]
) -> dict[str, Any]:
    """The values of `param` sites, by name, as NumPyro's handlers take them.

    Args:
        sites: the sites.
        unconstrained: their free leaves, among others.
    """
    return {
        site.name: site.filled(
            {
                name: biject_to(site.constraint)(unconstrained[name])
                for name, free in zip(site.leaves, site.free, strict=True)
                if free
            }
        )
        for site in sites
    }


def _drawn(site: ParameterSite) -> dict[str, Any]:
    pairs = zip(site.leaves, site.starts, site.free, strict=True)
    return {
        name: numpyro.sample(name, Parameter(start, site.constraint))
        for name, start, free in pairs
        if free
    }


def _site(name: str, value: Any, constraint: Any, latents: set[str]) -> ParameterSite:
    paths, structure = jax.tree_util.tree_flatten_with_path(value)
    if not paths:
        raise UnsupportedSiteError(
            f"the param site {name!r} holds no array; expected a value to start from: write "
            f"numpyro.param({name!r}, start)"
        )
    leaves = tuple(_leaf_name(name, path) for path, _ in paths)
    starts = tuple(np.asarray(leaf) for _, leaf in paths)
    free = tuple(
        leaf not in latents and np.issubdtype(start.dtype, np.floating)
        for leaf, start in zip(leaves, starts, strict=True)
    )
    return ParameterSite(name, leaves, starts, free, structure, constraint)


def _leaf_name(site: str, path: tuple[Any, ...]) -> str:
    """As NumPyro's random modules name the same leaf: `decoder/layers[0].weight`."""
    stem = site.removesuffix(_SUFFIX)
    if not path:
        return stem
    keys = [key.key for key in path if isinstance(key, jax.tree_util.DictKey)]
    inside = ".".join(map(str, keys)) if len(keys) == len(path) else jax.tree_util.keystr(path)
    return f"{stem}/{inside.removeprefix('.')}"


class _Recorder(Messenger):
    """Writes down the values of `param` sites, with latents at unconstrained zero."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.constraints: dict[str, Any] = {}
        self.latents: set[str] = set()
        super().__init__()

    def process_message(self, msg: Any) -> None:
        if msg["type"] == "sample" and msg["value"] is None:
            self.latents.add(msg["name"])
            msg["value"] = value_at_zero(msg["name"], msg["fn"])

    def postprocess_message(self, msg: Any) -> None:
        if msg["type"] == "param" and msg["value"] is not None:
            self.values[msg["name"]] = msg["value"]
            self.constraints[msg["name"]] = msg["kwargs"].get("constraint", constraints.real)


class _Given(Messenger):
    """Hands `param` sites their values, and hides them from all handlers outside."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        super().__init__()

    def process_message(self, msg: Any) -> None:
        if msg["type"] == "param" and msg["name"] in self._values:
            msg["value"], msg["stop"] = self._values[msg["name"]], True
