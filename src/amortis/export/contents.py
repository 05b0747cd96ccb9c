"""A fit as plain values and arrays, and back.

Nothing about the arrays' structure is read from a file: the choices say which arrays a fit has and
of which shapes, and an archive has to have exactly those.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amortis._errors import ArgumentError
from amortis._require import shown
from amortis._types import Parameters, RandomKey
from amortis.export.array_bytes import DTYPES
from amortis.export.capacity_plain import capacity_from_plain, capacity_to_plain
from amortis.export.choices import (
    family_from_plain,
    family_to_plain,
    function_from_plain,
    function_to_plain,
    objective_from_plain,
    objective_to_plain,
)
from amortis.export.fingerprint import fingerprint
from amortis.export.form_plain import form_from_plain, form_to_plain
from amortis.export.malformed import Malformed
from amortis.export.plain_values import entry, of_kind, size, sizes, texts
from amortis.fitting import Capacity, Fit, InheritedRebind, Trained
from amortis.guide import Guide, SiteLayout, Standardizer
from amortis.inference_functions import FunctionShape, SetNetwork
from amortis.model import ArgumentForm, Inputs, Locals, Membership, Rebind, Series
from amortis.numerics import Groups
from amortis.optimise import History, Status

_STANDARDIZE, _SHORTENING = "standardize.", "standardize.shortening"
_HISTORY = {field.name: f"history.{field.name}" for field in dataclasses.fields(History)}


@dataclasses.dataclass(frozen=True)
class Contents:
    """What an archive holds.

    Attributes:
        trained: what the fit has learned.
        held: whether its globals come from other data.
        updated: whether q of an earlier fit was its prior; that is not in the archive.
        function: name of the model's function; None where the model was not one of NumPyro.
        local: what the user said of the locals, if anything.
        form: what the data looked like; None where the model was not one of NumPyro.
        by_rows: whether the model's arguments are sliced.
        capacity: the sizes of function that were tried.
        data: the fingerprint of its data.
    """

    trained: Trained
    held: bool
    updated: bool
    function: str | None
    local: str | Locals | None
    form: ArgumentForm | None
    by_rows: bool
    capacity: Capacity | None
    data: Mapping[str, Any]


def contents_of(fitted: Fit) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A fit as plain values and arrays.

    Args:
        fitted: any fit.

    Returns:
        What JSON can hold, and arrays by name.

    Raises:
        ArgumentError: a family, inference function or activation that is not this library's.
    """
    trained, guide, rebind = Trained.of(fitted), fitted.guide, fitted.model.rebind
    updated = isinstance(rebind, InheritedRebind)
    while isinstance(rebind, InheritedRebind):
        rebind = rebind.inner
    known = rebind if isinstance(rebind, Rebind) else None
    plain = {
        "status": fitted.status.name,
        "held": fitted.held,
        "updated": updated,
        "function": None
        if known is None
        else str(getattr(known.function, "__name__", type(known.function).__name__)),
        "local": known.local if known is not None and isinstance(known.local, str) else None,
        "no_locals": known is not None and isinstance(known.local, Locals),
        "form": None if known is None else form_to_plain(known.form),
        "by_rows": known is not None and known.by_rows,
        "capacity": capacity_to_plain(fitted.capacity),
        "globals": [[name, list(shape)] for name, shape in guide.theta.shapes.items()],
        "locals": [[name, list(shape)] for name, shape in guide.z.shapes.items()],
        "global_family": family_to_plain("globals_", guide.global_family),
        "local_family": family_to_plain("locals_", guide.local_family),
        "inference": function_to_plain(guide.inference),
        "objective": objective_to_plain(fitted.objective),
        "shape": dataclasses.asdict(guide.shape),
        "reads": {
            "rows": list(trained.input_names),
            "series": None if trained.series_names is None else list(trained.series_names),
            "members": None if trained.member_names is None else list(trained.member_names),
        },
        "data": fingerprint(fitted.model),
    }
    leaves, _ = jax.tree_util.tree_flatten_with_path(_state(guide, fitted.variational))
    arrays = {_path_name(path): np.asarray(leaf) for path, leaf in leaves}
    arrays |= {name: np.asarray(getattr(fitted.history, f)) for f, name in _HISTORY.items()}
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ArgumentError(
                f"{name} of the fit has dtype {array.dtype}; expected one of {', '.join(DTYPES)}: "
                f"fit with one of those"
            )
    return plain, arrays


def contents_from(plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Contents:
    """What was learned again, exact to the bit.

    Args:
        plain: as `contents_of` made them.
        arrays: likewise.

    Returns:
        The contents; the model is not bound to anything.

    Raises:
        Malformed: the values do not describe a fit, or the arrays are not those of that fit.
    """
    state = {name: a for name, a in arrays.items() if name not in _HISTORY.values()}
    names = entry(plain, "reads", dict)
    guide, variational = _guide(plain, state)
    status = entry(plain, "status", str)
    if status not in Status.__members__:
        raise Malformed(f"has a status {shown(status)} that no fit has")
    trained = Trained(
        guide=guide,
        variational=variational,
        input_names=texts("rows", names.get("rows")),
        series_names=_optional_texts("series", names.get("series")),
        member_names=_optional_texts("members", names.get("members")),
        status=Status[status],
        history=_history(arrays),
        objective=objective_from_plain(plain.get("objective")),
    )
    _require_readable(trained)
    return Contents(
        trained=trained,
        held=entry(plain, "held", bool),
        updated=entry(plain, "updated", bool),
        function=_optional_text("function", plain.get("function")),
        local=_local(plain),
        form=None if plain.get("form") is None else form_from_plain(plain["form"]),
        by_rows=entry(plain, "by_rows", bool),
        capacity=capacity_from_plain(plain.get("capacity")),
        data=entry(plain, "data", dict),
    )


def _local(plain: Mapping[str, Any]) -> str | Locals | None:
    if plain.get("no_locals") is True:
        return Locals.NONE
    return _optional_text("local", plain.get("local"))


def _guide(
    plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[Guide, dict[str, Parameters]]:
    """The guide without contexts, and its parameters."""
    inference = function_from_plain(plain.get("inference"))
    local_family = family_from_plain(plain.get("local_family"))
    theta, z = (_layout(name, plain.get(name)) for name in ("globals", "locals"))
    sizes_of = entry(plain, "shape", dict)
    wanted = [field.name for field in dataclasses.fields(FunctionShape)]
    sizes_of = {"given": 0, "errors": 0, **sizes_of}  # of which older archives know nothing
    shape = FunctionShape(**{name: size(name, sizes_of.get(name)) for name in wanted})
    global_family = family_from_plain(plain.get("global_family"))
    members = shape.members if isinstance(inference, SetNetwork) else None

    def blank(key: RandomKey) -> dict[str, Any]:
        guide = Guide(
            global_family=global_family,
            local_family=local_family,
            inference=inference,
            theta=theta,
            z=z,
            standardize=Standardizer.idle(shape.columns, members, inference),
            contexts=None,
            offset=local_family.start(z.dimension, 0.0),
            shape=shape,
        )
        return {"guide": guide, "variational": guide.init(key)}

    if not local_family.is_density or local_family.raw_size(z.dimension) != shape.outputs:
        raise Malformed("describes a fit whose local family and function do not fit together")
    try:
        # This kind of key makes numbers of any size in one operation, which is not run here.
        made = jax.eval_shape(blank, jax.random.key(0, impl="rbg"))
    except (ArgumentError, ValueError, TypeError, OverflowError) as error:
        raise Malformed("describes a fit that cannot be") from error
    guide: Guide = made["guide"]
    state = _filled(_state(guide, made["variational"]), arrays)
    bound = dataclasses.replace(guide, standardize=state["standardize"], offset=state["offset"])
    return bound, state["variational"]


def _state(guide: Guide, variational: Parameters) -> dict[str, Any]:
    """All arrays of a fit that data do not give back."""
    return {
        "variational": variational,
        "offset": guide.offset,
        "standardize": guide.standardize,
    }


def _filled(blank: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The same pytree with the archive's arrays in the places of its own."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(blank)
    names = [_path_name(path) for path, _ in leaves]
    if _SHORTENING in names:  # of which older archives know nothing
        beside = [a.dtype for name, a in arrays.items() if name.startswith(_STANDARDIZE)]
        arrays = {_SHORTENING: np.zeros((), (beside or [np.float32])[0]), **arrays}
    if set(names) != set(arrays):
        odd = sorted(set(names) ^ set(arrays))[0]
        raise Malformed(f"describes a fit that has other arrays: {shown(odd)}")
    for name, (_, leaf) in zip(names, leaves, strict=True):
        array = arrays[name]
        if array.shape != leaf.shape or not jnp.issubdtype(array.dtype, jnp.floating):
            raise Malformed(f"holds {name!r} of shape {array.shape}, which its fit cannot have")
        if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
            raise Malformed(
                "holds 64-bit numbers, which JAX in 32 bit would round",
                'JAX in 64 bit: call jax.config.update("jax_enable_x64", True) first',
            )
    return jax.tree_util.tree_unflatten(structure, [jnp.asarray(arrays[name]) for name in names])


def _require_readable(trained: Trained) -> None:
    """Refuse names of columns that are not as many as the function was made for."""
    shape, inference = trained.guide.shape, trained.guide.inference

    def arrange() -> Any:
        rows = jnp.zeros((1, len(trained.input_names)))
        series, members = trained.series_names, trained.member_names
        around = None if series is None else Series(jnp.zeros((1, len(series))), 1, series)
        groups = Groups.of(np.zeros(1, int), 1)
        owned = None
        if members is not None:
            owned = Membership(jnp.zeros((1, len(members))), groups, members)
        parts = inference.arrange(Inputs(rows, around, owned))
        return parts.rows, parts.members

    try:
        rows, members = jax.eval_shape(arrange)
    except ArgumentError as error:
        raise Malformed("describes a fit whose function cannot read its columns") from error
    found = (rows.shape[1], 0 if members is None else members.shape[1])
    if found != (shape.columns, shape.members):
        raise Malformed("names other columns than its function reads")


def _history(arrays: Mapping[str, np.ndarray]) -> History:
    found = {field: arrays.get(name) for field, name in _HISTORY.items()}
    shapes = {None if array is None else array.shape for array in found.values()}
    kinds = [None if array is None else array.dtype.kind for array in found.values()]
    if len(shapes) != 1 or kinds != ["f", "f", "i", "i"] or len(next(iter(shapes)) or ()) != 1:
        raise Malformed("holds a history of the optimisation that is none")
    return History(**found)  # pyright: ignore[reportArgumentType]


def _layout(name: str, plain: object) -> SiteLayout:
    pairs: list[Any] = of_kind(name, plain, list)
    each = [of_kind(name, pair, list) for pair in pairs]
    if any(len(pair) != 2 for pair in each):
        raise Malformed(f"has a manifest whose {name!r} are no sites")
    found = {of_kind(name, site, str): sizes(name, shape) for site, shape in each}
    if len(found) < len(each):
        raise Malformed(f"has a site twice in {name!r}")
    return SiteLayout(found)


def _path_name(path: Any) -> str:
    """Where a leaf is, such as `variational.locals.layers.0.weight`."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _optional_text(name: str, value: object) -> str | None:
    return None if value is None else of_kind(name, value, str)


def _optional_texts(name: str, value: object) -> tuple[str, ...] | None:
    return None if value is None else texts(name, value)
