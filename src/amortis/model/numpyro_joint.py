"""The log joint of a whole NumPyro model, latents unconstrained, with nothing sliced."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array
from numpyro.infer import init_to_sample
from numpyro.primitives import Messenger

from amortis._errors import ModelRaisedError
from amortis._types import RandomKey, Sites
from amortis.model.arguments import Arguments, read_arguments
from amortis.model.bound_call import BoundCall
from amortis.model.numpyro_sites import peel, unconstrained_bijection
from amortis.model.parameter_sites import with_parameter_sites
from amortis.model.prior_mean import mean_or_zero
from amortis.model.whole_sites import WholeSites, record_whole
from amortis.structure import AbstractLogJoint, Arrays, Joint, LatentAxis

_NEEDS_NUMBERS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def joint_of(
    function: Callable[..., Any], *args: Any, local: str | None = None, **kwargs: Any
) -> Joint:
    """Take a NumPyro model and its data as a density over all latents and all arrays.

    Args:
        function: the model.
        *args: its positional arguments.
        local: a plate or latent site that the user says holds the locals.
        **kwargs: its keyword arguments.

    Returns:
        The density.

    Raises:
        DataError: empty or object arrays, NaN or infinity.
        ModelError: see `check`.
    """
    arguments, _ = with_parameter_sites(read_arguments(function, args, kwargs))
    return numpyro_joint(arguments, local)


def numpyro_joint(arguments: Arguments, local: str | None = None) -> Joint:
    """Take a bound call of a NumPyro model as a density over all latents and all arrays.

    Args:
        arguments: the model's arguments.
        local: a plate or latent site that the user says holds the locals.

    Returns:
        The density, with the axes of the latents along which units may lie.

    Raises:
        ModelRaisedError: the model raises, or its structure depends on the values of its data.
        ModelError: a latent that has no bijection to the reals.
    """
    named = arguments.named_arrays()
    density = NumPyroJoint(arguments, tuple(named))
    sites, constants = _record(density, named)
    arrays = {n: v for n, v in named.items() if n not in constants}
    return Joint(
        density=density,
        latents=dict(sites.latents),
        axes=_axes(sites, local),
        arrays=arrays,
        constants=constants,
    )


class NumPyroJoint(AbstractLogJoint):
    """Log density of each site of a NumPyro model at unconstrained latents, in nats."""

    def __init__(self, arguments: Arguments, names: tuple[str, ...]) -> None:
        self._arguments, self._names = arguments, names

    @property
    def plain(self) -> dict[str, Any]:
        """The arguments that are no arrays, by name."""
        pairs = zip(self._arguments.names, self._arguments.leaves, strict=True)
        return {name: leaf for name, leaf in pairs if name not in self._names}

    def elements(self, latents: Sites, arrays: Arrays) -> dict[str, tuple[Array, ...]]:
        """Log probabilities of each site, element by element, and its log determinants."""
        log_probs, log_dets = self.parts(latents, arrays, elementwise=True)
        return {
            name: (value, log_dets[name]) if name in log_dets else (value,)
            for name, value in log_probs.items()
        }

    def draw_prior(self, key: RandomKey, arrays: Arrays) -> dict[str, Array]:
        """Unconstrained latents drawn from the prior given the data.

        A site without a sampler, such as an improper prior, is drawn uniformly from [-2, 2] on the
        unconstrained scale.
        """
        return self._unconstrained(init_to_sample, key, arrays)

    def prior_mean(self, arrays: Arrays) -> dict[str, Array]:
        """Unconstrained latents at the mean of the prior, each given those before it at theirs."""
        return self._unconstrained(mean_or_zero, jax.random.key(0), arrays)

    def _unconstrained(
        self, values: Callable[[Any], Any], key: RandomKey, arrays: Arrays
    ) -> dict[str, Array]:
        """Unconstrained latents of a run with these values put into its latent sites."""
        seeded = numpyro.handlers.seed(_WholePlates(lambda: self._run(arrays)), rng_seed=key)
        drawn = numpyro.handlers.substitute(seeded, substitute_fn=values)
        trace = numpyro.handlers.trace(drawn).get_trace()
        return {
            name: unconstrained_bijection(name, site["fn"]).inv(site["value"])
            for name, site in trace.items()
            if site["type"] == "sample" and not site["is_observed"]
        }

    def parts(
        self, latents: Sites, arrays: Arrays, elementwise: bool = False
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Log probabilities and log determinants by site, in nats, not summed.

        Args:
            latents: unconstrained latents by site.
            arrays: the data.
            elementwise: whether event axes made by `to_event` are kept apart as well.
        """
        substitution = _Substitution(latents)
        trace = self._trace(substitution, arrays)
        samples = {name: site for name, site in trace.items() if site["type"] == "sample"}
        log_probs = {name: _log_prob(site, elementwise) for name, site in samples.items()}
        return log_probs, substitution.log_dets

    def constrain(self, latents: Sites, arrays: Arrays) -> dict[str, Array]:
        """Values of all latent and deterministic sites on the model's scale."""
        trace = self._trace(_Substitution(latents), arrays)
        return {
            name: site["value"]
            for name, site in trace.items()
            if name in latents or site["type"] == "deterministic"
        }

    def record(self, arrays: Arrays) -> WholeSites:
        """What an abstract run of the model shows of its sites."""
        with _WholePlates():
            return record_whole(lambda: self._run(arrays))

    def call(self, arrays: Arrays) -> None:
        """Run the user's model, every plate whole, under whatever handlers are entered."""
        with _WholePlates():
            self._run(arrays)

    def bound_call(self, arrays: Arrays, lengths: tuple[int, ...]) -> BoundCall:
        """The call on these arrays, with plates that subsample made whole."""
        known = dict(zip(self._arguments.names, self._arguments.leaves, strict=True))
        return BoundCall(_WholePlates(lambda: self._run(arrays)), {**known, **arrays}, lengths)

    def _run(self, arrays: Arrays) -> Any:
        template, _, _ = self._arguments.split(None)
        return template.call((), [arrays[name] for name in self._names])

    def _trace(self, substitution: "_Substitution", arrays: Arrays) -> dict[str, Any]:
        model: Callable[[], Any] = lambda: self._run(arrays)  # noqa: E731
        whole = numpyro.handlers.substitute(_WholePlates(model), substitute_fn=substitution)
        seeded = numpyro.handlers.seed(whole, rng_seed=0)
        return dict(numpyro.handlers.trace(seeded).get_trace())


class _Substitution:
    """Puts unconstrained values through their bijections into the latent sites."""

    def __init__(self, latents: Sites) -> None:
        self._latents = latents
        self.log_dets: dict[str, Array] = {}

    def __call__(self, site: Any) -> Array | None:
        name = site["name"]
        if site["type"] != "sample" or site["is_observed"] or name not in self._latents:
            return None
        bijection = unconstrained_bijection(name, site["fn"])
        value = self._latents[name]
        # Inside `scan` NumPyro hands over one step's site, and says which step it is.
        step = site["infer"].get("_scan_current_index")
        shape = tuple(bijection.inverse_shape(site["fn"].shape()))
        inside = step is not None and value.ndim > len(shape)
        value = value[step] if inside else value
        constrained = bijection(value)
        log_det = bijection.log_abs_det_jacobian(value, constrained)
        if inside:
            numpyro.factor(f"{name} (log determinant)", jnp.sum(log_det))
        else:
            self.log_dets[name] = log_det
        return constrained


class _WholePlates(Messenger):
    """Gives every plate that subsamples all of its indices, in order."""

    def process_message(self, msg: Any) -> None:
        if msg["type"] == "plate":
            size = msg["args"][0]
            msg["args"] = (size, size)
            msg["value"] = jnp.arange(size)


def _log_prob(site: Any, elementwise: bool) -> Array:
    scale = 1.0 if site["scale"] is None else site["scale"]
    function = peel(site["fn"]) if elementwise else site["fn"]
    return scale * function.log_prob(site["value"])


def _record(
    density: NumPyroJoint, named: Mapping[str, Array]
) -> tuple[WholeSites, dict[str, np.ndarray]]:
    """The model's sites, and integer arrays that it needs as numbers: `plate("g", idx.max() + 1)`.

    Raises:
        ModelRaisedError: the model needs the values of real-valued data while it is traced.
    """
    integers = {n: np.asarray(v) for n, v in named.items() if np.asarray(v).dtype.kind in "iu"}
    raised = _tried(density, named, {})
    if not isinstance(raised, Exception):
        return raised, {}
    constants = integers
    sites = _tried(density, named, constants)
    if not isinstance(sites, Exception):
        # Those that it can do without can be moved, and so be looked into.
        for name in integers:
            fewer = {n: v for n, v in constants.items() if n != name}
            found = _tried(density, named, fewer)
            if not isinstance(found, Exception):
                constants, sites = fewer, found
        return sites, constants
    raise ModelRaisedError(
        f"the structure of the model depends on the values of its data or latents "
        f"({type(raised).__name__}); expected a model that can be traced: replace Python `if`, "
        f"`int()` and boolean masks on them by `jnp.where`, or decide before the model is called"
    ) from raised


def _tried(
    density: NumPyroJoint, named: Mapping[str, Array], constants: Mapping[str, np.ndarray]
) -> WholeSites | Exception:
    """The model's sites where these arrays are handed over as numbers; or why that is not enough.

    Raises:
        ModelError: the model raised for another reason.
    """
    try:
        sites = density.record({**named, **constants})
        _trace_once(density, sites, named, constants)
    except (ModelRaisedError, *_NEEDS_NUMBERS) as error:
        raised = error.__cause__ if isinstance(error, ModelRaisedError) else error
        if not isinstance(raised, _NEEDS_NUMBERS):
            raise
        return raised
    return sites


def _trace_once(
    density: NumPyroJoint,
    sites: WholeSites,
    named: Mapping[str, Array],
    constants: Mapping[str, np.ndarray],
) -> None:
    dtype = jnp.result_type(float)
    latents = {n: jax.ShapeDtypeStruct(s, dtype) for n, s in sites.latents.items()}
    traced = {n: v for n, v in named.items() if n not in constants}
    jax.eval_shape(lambda z, x: density.parts(z, {**x, **constants}), latents, traced)


def _axes(sites: WholeSites, local: str | None) -> tuple[LatentAxis, ...]:
    """The latents' axes along which units may lie: plates, scans, and bare leading axes."""
    plates: dict[str, dict[str, tuple[int, int]]] = {}
    for site, around in sites.plates.items():
        for plate, where in around.items():
            plates.setdefault(plate, {})[site] = where
    found = [
        LatentAxis(name, next(iter(of.values()))[1], {s: a for s, (a, _) in of.items()}, True)
        for name, of in plates.items()
    ]
    bare: dict[int, dict[str, int]] = {}
    for site in sites.bare:
        bare.setdefault(sites.latents[site][0], {})[site] = 0
    found += [
        LatentAxis(next(iter(of)), size, of, local in of) for size, of in bare.items() if size > 1
    ]
    return tuple(found)
