"""`from_numpyro`: bind a NumPyro model to its data."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from amortis._errors import (
    ArgumentError,
    ModelRaisedError,
    NoLocalPlateError,
    NoObservationError,
    SlicingError,
    StepwiseLatentsError,
    UnequalLengthsError,
)
from amortis._require import require_callable, shown
from amortis.model.argument_form import ArgumentForm
from amortis.model.arguments import Arguments, flatten_arguments, read_arguments
from amortis.model.bind_alike import bind_alike
from amortis.model.by_structure import bind_by_structure
from amortis.model.inputs import as_inputs, levels_of, read_alike
from amortis.model.latent_model import LatentModel
from amortis.model.numpyro_checks import Check, checked, checked_again
from amortis.model.numpyro_density import NumPyroDensity
from amortis.model.numpyro_joint import numpyro_joint
from amortis.model.numpyro_sites import ModelSites, inspect_model
from amortis.model.parameter_sites import ParameterSite, starts_of, with_parameter_sites
from amortis.model.plates import LocalAxis, Locals, find_local_axis
from amortis.model.rebinding import AbstractRebind
from amortis.model.row_axes import along_rows, row_axis, without_axis
from amortis.model.without_locals import bind_without_locals
from amortis.structure import Kind, Verdict, used_as_integers


def from_numpyro(
    function: Callable[..., Any], *args: Any, local: str | Locals | None = None, **kwargs: Any
) -> LatentModel:
    r"""Bind a NumPyro model to its data.

    The plate that holds latents and data along the data's first axis becomes the local plate;
    everything else that is latent is global. Arguments with one entry per row are data of the rows
    and are sliced for minibatches, so sizes in the model must come from shapes
    (`plate("rows", x.shape[0])`) or from a subsampling plate (`plate("rows", N, subsample_size=B)`
    with its index or `numpyro.subsample`). Local latents may also be written without a plate, with
    rows on the first axis (`.expand([N])`, with or without `.to_event`).

    `numpyro.param` sites, and the networks of `eqx_module`, `nnx_module` and `flax_module`, are
    bound as globals without a prior, every array of theirs under a name of its own, such as
    `decoder/layers[0].weight`. They are always point estimates, and start at the values that they
    have in the model.

    A model without local latents is bound too: all its latents are globals, and rows are units
    without latents where the observations' plate shows that they stand alone.

    Bound models are checked on their own data: $\log p(\theta) + \sum_n \log p(x_n, z_n\mid\theta)$
    must equal `numpyro.infer.util.log_density`, and the terms of a few rows, evaluated alone, must
    equal the same terms evaluated with all rows.

    Args:
        function: the model, built of continuous latents and any observed sites.
        *args: its positional arguments; arrays, pytrees of arrays, pandas columns, plain values.
        local: name of the local plate, or of a local latent site, where several could be meant;
            `Locals.NONE` takes every latent as a global.
        **kwargs: its keyword arguments.

    Returns:
        The model bound to its data.

    Raises:
        DataError: empty or object arrays, NaN or infinity, or unequal leading lengths.
        ModelError: latents that may be local or not, plates that cross, discrete latents, latents
            without a support, rows that cannot be sliced, a log density that is not finite at the
            start, or a model that raises.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist
        >>> def model(x, sd):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, sd), obs=x)
        >>> bound = from_numpyro(model, jax.numpy.arange(20.0), sd=2.0)
        >>> bound.size, dict(bound.globals_), dict(bound.locals_)
        (20, {'theta': ()}, {'z': ()})
    """
    require_callable("the model", function)
    arguments, sites = with_parameter_sites(read_arguments(function, args, kwargs))
    model = _bound(arguments, local)
    sliced = isinstance(model.density, NumPyroDensity)
    form = ArgumentForm.of(arguments, model.size if sliced else None)
    by_rows = sliced and "index" not in model.data
    rebind = Rebind(form, function, local, model.verdict, by_rows, sites, checked=True)
    return dataclasses.replace(model, rebind=rebind, starts=starts_of(sites))


@dataclasses.dataclass(frozen=True)
class Rebind(AbstractRebind):
    """Binds a NumPyro model to other data.

    Attributes:
        form: what the data looked like.
        function: the model.
        local: the local plate, where the user named it.
        verdict: the structure, where binding had to look into it; new data do not change it.
        by_rows: whether the model's arguments are sliced; if not, and where no structure is known,
            binding looks into it again.
        parameters: the model's `param` sites; None where they are still to be found.
        checked: whether the function was held against NumPyro's log density before; its rows are
            then only held against each other.
    """

    form: ArgumentForm
    function: Callable[..., Any]
    local: str | Locals | None
    verdict: Verdict | None
    by_rows: bool
    parameters: tuple[ParameterSite, ...] | None = None
    checked: bool = False

    def flatten(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        return flatten_arguments(self.function, args, kwargs)

    def bind(self, arguments: Arguments) -> LatentModel:
        arguments, sites = with_parameter_sites(arguments, self.parameters)
        model = self._bound(arguments)
        known = dataclasses.replace(self, parameters=sites, checked=True)
        return dataclasses.replace(model, rebind=known, starts=starts_of(sites))

    def _bound(self, arguments: Arguments) -> LatentModel:
        if self.verdict is not None and self.verdict.kind is not Kind.NO_LOCALS:
            assert not isinstance(self.local, Locals)  # a verdict on locals says that there are
            return bind_alike(arguments, self.local, self.verdict)
        if self.by_rows and self.verdict is None and not isinstance(self.local, Locals):
            return _by_rows_or_alone(
                arguments, self.local, checked_again if self.checked else checked
            )
        return _bound(arguments, self.local)

    def refilled(self, model: LatentModel, arguments: Arguments) -> LatentModel:
        template, rows, _ = arguments.split(model.size)
        names = template.row_names()
        arrays = dict(zip(names, rows, strict=True))
        inputs = read_alike(arrays, model.size, model.input_names)
        return dataclasses.replace(model, data={"arrays": rows}, inputs=inputs)


def _bound(arguments: Arguments, local: str | Locals | None) -> LatentModel:
    if isinstance(local, type):
        raise ArgumentError(
            f"local is {shown(local)}; expected the name of a plate or site, or Locals.NONE to "
            f"take every latent as a global: pass one of these"
        )
    if isinstance(local, Locals):
        return _without_locals(arguments, Verdict.no_locals(local.value))
    try:
        return _by_rows(arguments, local)
    except (SlicingError, NoLocalPlateError, StepwiseLatentsError) as error:
        if isinstance(error, NoLocalPlateError) and local is None and not arguments.lengths():
            return _without_locals(arguments, Verdict.no_locals("the data have no rows"))
        # Rows do not stand alone: an error, unless the structure of the model is the reason.
        model = bind_by_structure(arguments, local)
        if isinstance(model, LatentModel):
            return model
        if model.kind is Kind.NO_LOCALS and local is None:
            return _without_locals(arguments, model)
        if isinstance(error, NoLocalPlateError) and model.kind in (Kind.UNKNOWN, Kind.HIDDEN):
            # There are locals, but they own no rows that are known.
            raise NoLocalPlateError(
                f"which rows belong to {', '.join(model.sites)} is not known: {model.reasons[0]}; "
                f"pass local=amortis.Locals.NONE to take them as globals"
            ) from error
        raise


def _by_rows(arguments: Arguments, local: str | None, check: Check = checked) -> LatentModel:
    found = _inspect(arguments)
    if not any(site.observed for site in found.sites):
        raise NoObservationError(
            "the model has no observed site and no factor; expected data to condition on: pass "
            "obs= to the sample statement of the data"
        )
    lengths = arguments.lengths()
    axis = find_local_axis(found.sites, tuple(lengths.values()), local)
    return _along(arguments, axis, found, check)


def _along(arguments: Arguments, axis: LocalAxis, found: ModelSites, check: Check) -> LatentModel:
    """The model with its rows along an axis, checked."""
    size, subsample = found.plates.get(axis.name, (axis.size, axis.size))
    axis = LocalAxis(axis.name, axis.dim, size)
    if subsample < size:
        model = _bind(arguments, axis, found, subsampled=True)
        return check(model)
    try:
        return check(_bind(arguments, axis, found, subsampled=False))
    except SlicingError as by_arguments:
        # The plate's size may be written into the model while its data follow the plate's index.
        if axis.dim is None:
            raise
        try:
            return check(_bind(arguments, axis, found, subsampled=True))
        except SlicingError:
            raise by_arguments from by_arguments.__cause__


def _by_rows_or_alone(arguments: Arguments, local: str | None, check: Check) -> LatentModel:
    """The model by its rows; of a loaded fit it is not known whether they have latents."""
    try:
        return _by_rows(arguments, local, check)
    except NoLocalPlateError:
        return _bound(arguments, local)


def _without_locals(arguments: Arguments, verdict: Verdict) -> LatentModel:
    try:
        found = _inspect(arguments)
    except StepwiseLatentsError:
        found = None

    def by_rows(axis: LocalAxis, found: ModelSites) -> LatentModel:
        return _along(arguments, axis, found, checked)

    return bind_without_locals(arguments, found, by_rows, verdict)


def _inspect(arguments: Arguments) -> ModelSites:
    template, _, others = arguments.split(None)
    try:
        return inspect_model(lambda: template.call((), others))
    except ModelRaisedError as error:
        lengths = arguments.lengths()
        if len(set(lengths.values())) > 1 and isinstance(error.__cause__, ValueError | TypeError):
            listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise UnequalLengthsError(
                f"the data have unequal leading lengths ({listed}) and the model could not combine "
                f"them; expected one row of each per datum: align the arrays"
            ) from error.__cause__
        raise


def _bind(
    arguments: Arguments, axis: LocalAxis, found: ModelSites, *, subsampled: bool
) -> LatentModel:
    along = [s for s in found.sites if along_rows(s.plates, s.leading, axis)]
    row_axes = {s.name: row_axis(s.name, found, axis) for s in along}
    template, rows, others = arguments.split(None if subsampled else axis.size)
    _, row_arrays, _ = arguments.split(axis.size)
    if not rows and not subsampled:
        raise SlicingError(
            f"no data array has {axis.size} rows, the size of {axis.name!r}; expected the data as "
            f"arguments of the model with rows on their first axis: pass them to from_numpyro "
            f"instead of closing over them"
        )
    data: dict[str, Any] = {"arrays": row_arrays}
    if subsampled:
        data["index"] = jnp.arange(axis.size)
    names = arguments.split(axis.size)[0].row_names()
    levels = levels_of(_categories(arguments, dict(zip(names, row_arrays, strict=True))))
    inputs, input_names = as_inputs(row_arrays, names, axis.size, levels)
    latent = found.latents
    return LatentModel(
        density=NumPyroDensity(template, others, axis, row_axes, subsampled),
        data=data,
        inputs=inputs,
        globals_={n: i.unconstrained_shape for n, i in latent.items() if n not in row_axes},
        locals_={
            n: without_axis(latent[n].unconstrained_shape, row_axes[n])
            for n in latent
            if n in row_axes
        },
        size=axis.size,
        plate=axis.name,
        input_names=input_names,
    )


def _categories(arguments: Arguments, rows: dict[str, Any]) -> dict[str, Any]:
    """Row-aligned integers that the model uses as indices: categories, not numbers."""
    if not any(jnp.issubdtype(array.dtype, jnp.integer) for array in rows.values()):
        return {}
    integers = used_as_integers(numpyro_joint(arguments))
    return {name: array for name, array in rows.items() if name in integers}
