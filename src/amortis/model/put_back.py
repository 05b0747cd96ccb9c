"""Putting simulated observations back into the arguments, from which inference functions read."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal
from jaxtyping import Array

from amortis._errors import ArgumentError
from amortis._types import RowIndex
from amortis.model.by_structure import member_arrays, own_arrays, series_arrays
from amortis.model.grouped_density import GroupedDensity
from amortis.model.inputs import Inputs, Membership, Series, encode
from amortis.model.latent_model import LatentModel
from amortis.model.numpyro_density import NumPyroDensity
from amortis.model.whole_density import WholeDensity


def unit_arrays(model: LatentModel, index: RowIndex) -> dict[str, Array]:
    """All arrays that inference functions may read of these units, by name."""
    if isinstance(model.density, NumPyroDensity):
        return dict(zip(_row_names(model), model.rows(index)["arrays"], strict=True))
    return dict(model.joint().arrays)


def rows_with(
    density: NumPyroDensity,
    model: LatentModel,
    index: RowIndex,
    arrays: Mapping[str, Array] | None,
) -> tuple[NumPyroDensity, Any]:
    """A density and the rows of these units, with other values of all row-aligned arrays.

    Args:
        density: the model's density.
        model: the model.
        index: the units.
        arrays: their rows of all row-aligned arrays by name; the model's own if None.
    """
    rows = model.rows(index)
    if arrays is None:
        return density, rows
    if not density.subsampled:
        return density, {**rows, "arrays": tuple(arrays[n] for n in _row_names(model))}
    # The plate takes its rows out of whole arrays.
    new = iter([arrays[n] for n in _row_names(model)])
    others = tuple(
        leaf.at[index].set(next(new)) if _is_aligned(leaf, model.size) else leaf
        for leaf in density.others
    )
    return dataclasses.replace(density, others=others), rows


def _is_aligned(leaf: Any, size: int) -> bool:
    return leaf.ndim > 0 and leaf.shape[0] == size


def _row_names(model: LatentModel) -> tuple[str, ...]:
    """Names of the row-aligned arrays, in the order in which the rows have them."""
    density = model.density
    assert isinstance(density, NumPyroDensity)
    if not density.subsampled:
        return density.template.row_names()
    roles = zip(density.template.names, density.template.roles, strict=True)
    arrays = zip((n for n, role in roles if role.value == "array"), density.others, strict=True)
    return tuple(name for name, leaf in arrays if _is_aligned(leaf, model.size))


def read_by(
    function: Callable[[Mapping[str, Array]], Mapping[str, Array]], arrays: Mapping[str, Array]
) -> dict[str, set[str]]:
    """The arrays whose values enter each output of a function; of their shapes nothing is said.

    Followed operation by operation through what JAX traces. An operation that is a function of its
    own counts as reading all that it is handed, so that no reading is missed.

    Args:
        function: maps arrays by name to outputs by name.
        arrays: the arrays.

    Returns:
        By output, names of arrays.
    """
    names: list[str] = []

    def listed(values: list[Array]) -> list[Array]:
        outputs = function(dict(zip(arrays, values, strict=True)))
        names.extend(outputs)
        return list(outputs.values())

    jaxpr = jax.make_jaxpr(listed)(list(arrays.values())).jaxpr
    reads: dict[Any, set[str]] = {v: {n} for v, n in zip(jaxpr.invars, arrays, strict=True)}

    def of(variables: Any) -> set[str]:
        known = [reads.get(v, set()) for v in variables if not isinstance(v, Literal)]
        return set().union(*known)

    for equation in jaxpr.eqns:
        found = of(equation.invars)
        reads |= dict.fromkeys(equation.outvars, found)
    return {name: of([variable]) for name, variable in zip(names, jaxpr.outvars, strict=True)}


def observed_argument(site: str, values: Array, size: int, arrays: Mapping[str, Array]) -> str:
    """The argument that a site observes: the one that holds its values.

    Args:
        site: an observed site.
        values: what it observes, of all units.
        size: how many numbers are drawn for it.
        arrays: the model's arrays along the units, by name.

    Raises:
        ArgumentError: none, or two that are equal.
    """
    given = np.ravel(values)
    holds = [
        name
        for name, array in arrays.items()
        if array.size == given.size == size and (np.ravel(array) == given).all()
    ]
    if site in holds or len(holds) == 1:
        return site if site in holds else holds[0]
    if holds:
        raise ArgumentError(
            f"the arguments {holds[0]!r} and {holds[1]!r} are equal, and site {site!r} observes "
            f"one of them; expected to know which: name the site after it"
        )
    raise not_put_back(site, "observes no argument of the model as it was passed")


def not_put_back(site: str, what: str) -> ArgumentError:
    """The error of data that cannot be put back, and why."""
    return ArgumentError(
        f"site {site!r} {what}, so that simulated data cannot be put back; expected obs= an "
        f"argument that nothing else reads: pass simulate=lambda key, values: {{...}}, which makes "
        f"the new arguments by name of the simulated values by site"
    )


def fitting(name: str, value: Any, arrays: Mapping[str, Array]) -> Array:
    """A new value of an argument, in the shape and dtype of the one whose place it takes.

    Raises:
        ArgumentError: there is no such argument, or it has another size.
    """
    known = arrays.get(name)
    if known is None:
        raise ArgumentError(
            f"simulate returned an argument {name!r}; expected some of the model's arrays along "
            f"its units, {', '.join(arrays)}: name the arguments that data take the place of"
        )
    if jnp.size(value) != known.size:
        raise ArgumentError(
            f"simulate returned {name!r} of shape {jnp.shape(value)}; expected {known.shape}, as "
            f"the model saw it in this call: keep the shapes of the values"
        )
    return jnp.reshape(jnp.asarray(value), known.shape).astype(known.dtype)


def inputs_of(model: LatentModel, arrays: Mapping[str, Array], size: int) -> Inputs:
    """What inference functions read of new arrays, in the columns of the model.

    Args:
        model: a model made by `from_numpyro`.
        arrays: all arrays along its units by name; a batch of rows where rows stand alone.
        size: number of units in them.
    """
    if isinstance(model.density, NumPyroDensity):
        return Inputs(encode(model.input_names, arrays, size))
    density, verdict = model.density, model.verdict
    assert isinstance(density, GroupedDensity | WholeDensity) and verdict is not None
    joint = dataclasses.replace(model.joint(), arrays=dict(arrays))
    own = dict(own_arrays(joint, density.axis, verdict))
    series, members = model.series, model.members
    if series is not None:
        length = series.values.shape[0]
        along = dict(series_arrays(joint, density.axis, verdict))
        series = Series(encode(series.names, along, length), series.stride, series.names)
    if members is not None:
        length = members.values.shape[0]
        of_groups = dict(member_arrays(joint, verdict))
        values = encode(members.names, of_groups, length)
        members = Membership(values, members.groups, members.names)
    return Inputs(encode(model.input_names, own, size), series, members)
