"""Binding models whose rows cannot be sliced, by what their structure is found to be."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amortis._types import RowIndex, Rows, Sites
from amortis.model.arguments import Arguments
from amortis.model.checks import check_start, random_values
from amortis.model.grouped_density import GroupedDensity, all_rows
from amortis.model.inputs import Membership, Series, as_inputs, levels_of
from amortis.model.latent_model import AbstractDensity, LatentModel
from amortis.model.numpyro_joint import NumPyroJoint, numpyro_joint
from amortis.model.whole_density import ByIdentity, WholeDensity
from amortis.model.whole_sites import WholeSites
from amortis.numerics import Groups, tree_sum
from amortis.structure import Input, Joint, Kind, LatentAxis, Verdict, examine, used_as_integers

_FEW = 5
"""Groups that are evaluated alone when a grouped model is checked."""


def bind_by_structure(arguments: Arguments, local: str | None) -> LatentModel | Verdict:
    """Bind a model whose units share rows, own several, or touch each other.

    Args:
        arguments: the model and its data.
        local: name of the local plate or site, where the user gave one.

    Returns:
        The model; or the verdict, where it gives no reason to take the model as a whole.

    Raises:
        ModelError: the model raises, or its log density is not finite at the start.
    """
    joint = numpyro_joint(arguments, local)
    verdict = examine(joint, local)
    if verdict.kind not in (Kind.WINDOWED, Kind.GROUPED, Kind.COUPLED):
        return verdict
    return bind_as(arguments, joint, verdict)


def bind_as(arguments: Arguments, joint: Joint, verdict: Verdict) -> LatentModel:
    """Bind a model whose structure is known.

    Args:
        arguments: the model and its data.
        joint: its log joint.
        verdict: on it: windows, groups, or units that touch each other.

    Raises:
        ModelError: the log density is not finite at the start.
    """
    axis = next(axis for axis in joint.axes if axis.name == verdict.local)
    grouped = _grouped(arguments, joint, axis, verdict)
    if grouped is not None:
        return grouped
    density = WholeDensity.of(joint, axis)
    model = _model(joint, axis, verdict, density, {"units": jnp.arange(axis.size)}, False)
    check_start(model, lambda theta, z, rows: density.log_probs(theta, z))
    return model


def _model(
    joint: Joint,
    axis: LatentAxis,
    verdict: Verdict,
    density: AbstractDensity,
    data: Rows,
    separable: bool,
) -> LatentModel:
    inputs, names = _own_rows(joint, axis, verdict)
    return LatentModel(
        density=density,
        data=data,
        inputs=inputs,
        globals_={n: s for n, s in joint.latents.items() if n not in axis.sites},
        locals_={n: _without(joint.latents[n], a) for n, a in axis.sites.items()},
        size=axis.size,
        plate=axis.name,
        input_names=names,
        series=_series(joint, axis, verdict),
        members=_members(joint, axis, verdict),
        verdict=verdict,
        separable=separable,
    )


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _rows_first(joint: Joint, given: Input) -> Array:
    values = joint.arrays.get(given.name)
    values = joint.constants[given.name] if values is None else values
    return jnp.moveaxis(jnp.asarray(values), given.axis, 0)


def is_block(given: Input, size: int, kind: Kind) -> bool:
    """Whether each unit owns the same number of rows, next to each other or N apart.

    Args:
        given: what the units read.
        size: number of units N.
        kind: of the verdict.
    """
    runs = given.stride > 1 and given.offsets == tuple(range(given.stride))
    # A single unit is one apart from nothing: there a window looks like entries that are N apart.
    may_be = len(given.offsets) > 1 and (size > 1 or kind is not Kind.WINDOWED)
    return runs or (may_be and apart(given.offsets, size))


def apart(offsets: tuple[int, ...], size: int) -> bool:
    """Whether a unit's entries are N apart."""
    return all(o % size == 0 for o in offsets)


def _columns(
    joint: Joint, given: list[tuple[str, Array]], size: int
) -> tuple[Array, tuple[str, ...]]:
    integers = used_as_integers(joint)
    levels = levels_of({name: array for name, array in given if name in integers})
    return as_inputs([a for _, a in given], [n for n, _ in given], size, levels)


def own_arrays(joint: Joint, axis: LatentAxis, verdict: Verdict) -> list[tuple[str, Array]]:
    """Each unit's own row of the arrays that run along the units, by name, units first."""
    own: list[tuple[str, Array]] = []
    for given in verdict.inputs:
        if given.index is not None:
            continue
        values = _rows_first(joint, given)
        first = np.arange(axis.size) * given.stride
        own_rows = is_block(given, axis.size, verdict.kind)
        place = first[:, None] + np.asarray(given.offsets) if own_rows else first
        own.append((given.name, values[np.clip(place, 0, values.shape[0] - 1)]))
    return own


def _own_rows(joint: Joint, axis: LatentAxis, verdict: Verdict) -> tuple[Array, tuple[str, ...]]:
    return _columns(joint, own_arrays(joint, axis, verdict), axis.size)


def series_arrays(joint: Joint, axis: LatentAxis, verdict: Verdict) -> list[tuple[str, Array]]:
    """Arrays along the units that have shared rows, by name, rows first."""
    along = _along_units(axis, verdict)
    return [(given.name, _rows_first(joint, given)) for given in along]


def _along_units(axis: LatentAxis, verdict: Verdict) -> list[Input]:
    return [
        i for i in verdict.inputs if i.index is None and not is_block(i, axis.size, verdict.kind)
    ]


def _series(joint: Joint, axis: LatentAxis, verdict: Verdict) -> Series | None:
    """Rows along the units where they are not one per unit."""
    arrays = series_arrays(joint, axis, verdict)
    lengths = {values.shape[0] for _, values in arrays}
    strides = {given.stride for given in _along_units(axis, verdict)}
    if lengths == {axis.size} or len(lengths) != 1 or len(strides) != 1:
        return None
    matrix, names = _columns(joint, arrays, lengths.pop())
    return Series(matrix, strides.pop(), names)


def member_arrays(joint: Joint, verdict: Verdict) -> list[tuple[str, Array]]:
    """Arrays whose rows belong to groups, by name, rows first."""
    return [(i.name, _rows_first(joint, i)) for i in verdict.inputs if i.index is not None]


def _members(joint: Joint, axis: LatentAxis, verdict: Verdict) -> Membership | None:
    owned = [i for i in verdict.inputs if i.index is not None]
    if not owned or len({i.index for i in owned}) != 1:
        return None
    arrays = member_arrays(joint, verdict)
    matrix, names = _columns(joint, arrays, arrays[0][1].shape[0])
    return Membership(matrix, _groups(joint, axis, owned[0]), names)


def _groups(joint: Joint, axis: LatentAxis, owned: Input) -> Groups:
    assert owned.index is not None  # only inputs that are owned by groups come here
    every: dict[str, Any] = {**joint.arrays, **joint.constants}
    return Groups.of(np.asarray(every[owned.index]) - owned.base, axis.size)


def _grouped(
    arguments: Arguments, joint: Joint, axis: LatentAxis, verdict: Verdict
) -> LatentModel | None:
    """The model by groups, if any batch of them can be evaluated alone."""
    owned = [i for i in verdict.inputs if i.index is not None]
    indices = {i.index for i in owned}
    if verdict.kind is not Kind.GROUPED or len(indices) != 1 or not indices <= set(joint.arrays):
        return None
    (index,) = indices
    assert index is not None  # inputs without an index were left out
    length = joint.arrays[index].shape[0]
    aligned = {i.name for i in verdict.inputs if i.index is None}
    along_rows = {
        n: v
        for n, v in joint.arrays.items()
        if v.ndim and v.shape[0] == length and n not in aligned
    }
    groups = _groups(joint, axis, owned[0])
    assert isinstance(joint.density, NumPyroJoint)
    sites = joint.density.record(arguments.named_arrays())
    density = GroupedDensity(
        terms=joint.density,
        arrays={n: v for n, v in joint.arrays.items() if n not in along_rows},
        shape=ByIdentity(joint),
        axis=axis,
        groups=groups,
        unit_sites=_sites_along(sites, axis.name, axis.size, set(axis.sites)),
        member_sites=_sites_along(sites, None, length, set()),
    )
    model = _model(joint, axis, verdict, density, all_rows(along_rows, groups), True)
    if not _groups_stand_alone(model, joint):
        return None
    check_start(model, lambda theta, z, rows: density.log_probs(theta, z, rows))
    return model


def _sites_along(
    sites: WholeSites, plate: str | None, size: int, latents: set[str]
) -> dict[str, int]:
    """Sites with one term per entry of an axis, and where it is in their elementwise terms."""
    found: dict[str, int] = {}
    for site in sites.sites:
        dims = [
            d for n, (d, s) in site.plates.items() if n == plate or (plate is None and s == size)
        ]
        if dims:
            found[site.name] = dims[0] - site.event
        elif site.name in latents or (plate is None and site.observed and site.leading == size):
            found[site.name] = 0
    return found


def _groups_stand_alone(model: LatentModel, joint: Joint) -> bool:
    """Whether the terms of a few groups alone are theirs among all, and all add up to the joint."""
    theta, z = random_values(model, seed=0, scale=0.5)
    index = jnp.asarray(
        np.linspace(0, model.size - 1, min(_FEW, max(model.size - 1, 1))).astype(int)
    )
    few = {name: value[index] for name, value in z.items()}
    density = model.density
    assert isinstance(density, GroupedDensity)

    @eqx.filter_jit
    def evaluate(
        model: LatentModel, theta: Sites, z: Sites, few: Sites, index: RowIndex
    ) -> tuple[Any, Any, Any]:
        moved = {name: jnp.moveaxis(v, 0, density.axis.sites[name]) for name, v in z.items()}
        whole = joint.terms({**theta, **moved}, {**joint.arrays, **joint.constants})
        total = sum(whole.values(), jnp.zeros(()))
        return model.log_terms(theta, z), model.log_terms(theta, few, model.rows(index)), total

    try:
        # A model that writes its number of rows out cannot be run on fewer: it is taken as a whole.
        every, part, total = jax.device_get(evaluate(model, theta, z, few, index))
    except (TypeError, ValueError, IndexError):
        return False
    together = float(every.prior + every.log_det + tree_sum(jnp.asarray(every.local)))
    return (
        np.allclose(part.local, every.local[np.asarray(index)], 1e-3, 1e-3, equal_nan=True)
        and np.allclose(part.prior, every.prior, 1e-3, 1e-3, equal_nan=True)
        and bool(np.isclose(together, float(total), 1e-4, 1e-3, equal_nan=True))
    )
