"""What inference functions read, from the arguments of a call whose arrays may be traced.

Binding a model looks at values and runs checks; inside a compiled loop of SVI there are no values.
Here the columns that a bound model found are laid out again from other arrays, by their names.
"""

import dataclasses
import itertools
import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from amortis._errors import DataError
from amortis.guide import Guide
from amortis.inference_functions import AbstractRowFunction, Parts, SetContext, take
from amortis.model import Inputs, LatentModel, Series
from amortis.model.by_structure import is_block
from amortis.numerics import Members
from amortis.structure import Input

_REST = re.compile(r"(?:\[(\d+)\])?(?:=(-?\d+))?")
"""What follows an array's name in the label of a column: its place, and its category."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """The units that a call asks for.

    Attributes:
        units: their number.
        size: number of units that there are in this call, the plate's size.
        index: their positions where the plate is subsampled, or None for all of them.
    """

    units: int
    size: int
    index: Array | None


def context_of_call(
    model: LatentModel, guide: Guide, arrays: Mapping[str, Any], asked: Asked
) -> Any:
    """The standardized context of the units that a call asks for.

    Args:
        model: the model as it was first bound; gives the columns and the structure.
        guide: gives the inference function and the scale of its inputs.
        arrays: the call's arrays by name.
        asked: the units.

    Returns:
        A context as the inference function takes it.

    Raises:
        DataError: an array that the function reads is missing, has other rows or columns, or has
            a category that was not there when the model was bound.
    """
    function = guide.inference
    if isinstance(guide.contexts, SetContext):
        return _context_of_groups(model, guide, arrays, asked.units)
    if isinstance(function, AbstractRowFunction) and model.verdict is None:
        taken = {n: _of_units(n, a, asked) for n, a in _read(model, arrays).items()}
        parts = Parts(columns(taken, model.input_names, asked.units))
        return function.context(guide.standardize(parts))
    found = _inputs(model, arrays, asked.size)
    parts = function.arrange(found)
    if parts.edge is not None and found.rows.shape[0] != model.size:
        # Parameters of ends belong to a series of the length that was fitted.
        parts = Parts(parts.rows, edge=jnp.full_like(parts.edge, -1))
    context = function.context(guide.standardize(parts))
    return context if asked.index is None else take(context, asked.index)


def columns(
    arrays: Mapping[str, Any], labels: tuple[str, ...], rows: int
) -> Float[Array, "rows columns"]:
    """The columns of these labels, as `LatentModel.input_names` has them.

    Args:
        arrays: arrays by name, each with `rows` entries on its first axis.
        labels: an array's name, with a place in its row or a category behind it.
        rows: number of rows.
    """
    dtype = jnp.result_type(float)
    parsed = [_parsed(label, arrays) for label in labels]
    parts: list[Array] = []
    for name, group in itertools.groupby(parsed, key=lambda column: column[0]):
        wanted = list(group)
        flat = jnp.reshape(jnp.asarray(arrays[name]), (rows, -1))
        most = max(place for _, place, _ in wanted)
        if most >= flat.shape[1]:
            raise DataError(
                f"data {name!r} has {flat.shape[1]} columns, but the inference function reads "
                f"{most + 1}; expected data of the shape that the guide was set up with"
            )
        values = flat[:, np.asarray([place for _, place, _ in wanted], int)]
        levels = [level for _, _, level in wanted if level is not None]
        if levels:
            _refuse_unseen(name, arrays[name], levels)
            values = values == jnp.asarray(levels, values.dtype)
        parts.append(values.astype(dtype))
    return jnp.concatenate(parts, axis=1) if parts else jnp.zeros((rows, 0), dtype)


def _parsed(label: str, arrays: Mapping[str, Any]) -> tuple[str, int, int | None]:
    for name in sorted(arrays, key=len, reverse=True):
        rest = _REST.fullmatch(label[len(name) :]) if label.startswith(name) else None
        if rest is not None:
            place, level = rest.groups()
            return name, int(place or 0), None if level is None else int(level)
    raise _missing(label.split("=", 1)[0].split("[", 1)[0])


def _refuse_unseen(name: str, array: Any, levels: list[int]) -> None:
    if isinstance(array, Tracer):
        return  # its values are not known here; an unseen category is read as none of those seen
    unseen = np.setdiff1d(np.asarray(array), levels)
    if unseen.size:
        raise DataError(
            f"the data have the category {name}={unseen[0]}, which was not among the data that the "
            f"guide was set up with; expected the same categories: set up with data of all"
        )


def _missing(name: str) -> DataError:
    return DataError(
        f"the inference function reads {name!r}, which this call leaves out; expected the data of "
        f"the units that it is asked for: pass {name}=, or predict with draws of globals alone"
    )


def _read(model: LatentModel, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays that some column is made of."""
    names = {_parsed(label, arrays)[0] for label in model.input_names}
    return {name: arrays[name] for name in arrays if name in names}


def _of_units(name: str, array: Any, asked: Asked) -> Any:
    """The units' own entries: of all rows by their positions, or as the call has sliced them."""
    rows = array.shape[0] if array.ndim else 0
    if rows == asked.units:
        return array
    if asked.index is None or rows != asked.size:
        raise _unequal(name, rows, asked.size)
    return jnp.take(jnp.asarray(array), asked.index, axis=0)


def _unequal(name: str, rows: int, units: int) -> DataError:
    return DataError(
        f"data {name!r} has {rows} rows, but this call has {units} units; expected one row of each "
        f"per unit: align the arrays"
    )


def _inputs(model: LatentModel, arrays: Mapping[str, Any], size: int) -> Inputs:
    """All that the bound model gave its inference functions, from other arrays."""
    if model.verdict is None:
        read = _read(model, arrays)
        for name, array in read.items():
            if array.shape[0] != size:
                raise _unequal(name, array.shape[0], size)
        return Inputs(columns(read, model.input_names, size))
    own, along = {}, {}
    for given in model.verdict.inputs:
        if given.index is None:
            values = _rows_first(arrays, given)
            own[given.name] = values[_own_places(given, model, size, values.shape[0])]
            along[given.name] = values
    rows = columns(own, model.input_names, size)
    if model.series is None:
        return Inputs(rows)
    length = next(iter(along.values())).shape[0]
    names = model.series.names
    return Inputs(rows, Series(columns(along, names, length), model.series.stride, names))


def _own_places(given: Input, model: LatentModel, units: int, length: int) -> np.ndarray:
    assert model.verdict is not None  # inputs of a verdict come here
    first, old = np.arange(units) * given.stride, model.size
    if not is_block(given, old, model.verdict.kind):
        return np.clip(first, 0, length - 1)
    apart = given.stride == 1  # rows N apart are as far apart as there are units
    offsets = [o // old * units if apart else o for o in given.offsets]
    return np.clip(first[:, None] + np.asarray(offsets), 0, length - 1)


def _rows_first(arrays: Mapping[str, Any], given: Input) -> Array:
    if given.name not in arrays:
        raise _missing(given.name)
    return jnp.moveaxis(jnp.asarray(arrays[given.name]), given.axis, 0)


def _context_of_groups(
    model: LatentModel, guide: Guide, arrays: Mapping[str, Any], units: int
) -> SetContext:
    assert model.members is not None and model.verdict is not None  # a context of groups has them
    owned = [given for given in model.verdict.inputs if given.index is not None]
    by_name = {given.name: _rows_first(arrays, given) for given in owned}
    index, base = owned[0].index, owned[0].base
    if index is None or index not in arrays:
        raise _missing(str(index))
    owner = jnp.asarray(arrays[index]) - base
    entries = owner.shape[0]
    rows = _inputs(model, arrays, units).rows
    values = columns(by_name, model.members.names, entries)
    groups = guide.contexts.groups
    parts = guide.standardize(Parts(rows, members=values, groups=groups))
    assert parts.members is not None  # standardizing keeps them
    members = Members(jnp.arange(entries), owner, jnp.ones(entries, bool))
    return SetContext(parts.rows, parts.members, members, groups)
