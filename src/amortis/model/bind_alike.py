"""Binding a model to other data, with the structure that it was found to have."""

import dataclasses

import numpy as np

from amortis._errors import DataError
from amortis.model.arguments import Arguments
from amortis.model.by_structure import apart, bind_as
from amortis.model.latent_model import LatentModel
from amortis.model.numpyro_joint import numpyro_joint
from amortis.structure import Input, Kind, Verdict


def bind_alike(arguments: Arguments, local: str | None, verdict: Verdict) -> LatentModel:
    """Bind a model to other data, with the structure that it was found to have.

    A single new group, or a series of two, has too few units for its structure to be seen.

    Args:
        arguments: the model and its new data.
        local: name of the local plate or site, where the user gave one.
        verdict: on the model with other data.

    Raises:
        DataError: the new data have none of these units, or a series is too short for its windows.
        ModelError: the model raises, or its log density is not finite at the start.
    """
    for given in verdict.inputs:
        _require_window(arguments, given, verdict)
    joint = numpyro_joint(arguments, local)
    axes = [axis for axis in joint.axes if axis.name == verdict.local]
    if not axes or set(axes[0].sites) != set(verdict.sites):
        raise DataError(
            f"with the new data the model has no units {verdict.local!r} with {verdict.sites}; "
            f"expected the same latents as when it was fitted: pass data of the same form"
        )
    size = axes[0].size
    for given in verdict.inputs:
        _require_owners(arguments, given, verdict, size)
    inputs = tuple(_resized(given, verdict.size, size) for given in verdict.inputs)
    return bind_as(arguments, joint, dataclasses.replace(verdict, size=size, inputs=inputs))


def _require_window(arguments: Arguments, given: Input, verdict: Verdict) -> None:
    """Refuse a series in which no unit has a whole window."""
    array = arguments.named_arrays().get(given.name)
    if verdict.kind is not Kind.WINDOWED or given.index is not None or array is None:
        return
    rows, span = array.shape[given.axis], max(given.offsets) - min(given.offsets) + 1
    if rows < span:
        raise DataError(
            f"data {given.name!r} have {rows} rows, but each of {verdict.local!r} reads {given}, a "
            f"window of {span}, so that none has a whole one; expected at least {span} rows: pass "
            f"a longer series, with the rows at its edges"
        )


def _require_owners(arguments: Arguments, given: Input, verdict: Verdict, size: int) -> None:
    """Refuse rows of groups that there are not; a gather would clamp them without a word."""
    index = None if given.index is None else arguments.named_arrays().get(given.index)
    if index is None:
        return
    low, high = int(np.min(index)), int(np.max(index))
    if low < given.base or high >= given.base + size:
        raise DataError(
            f"data {given.index!r} run from {low} to {high}, but {verdict.local!r} has units "
            f"{given.base} to {given.base + size - 1}; expected groups among those: correct the "
            f"index, or the number of groups"
        )


def _resized(given: Input, before: int, now: int) -> Input:
    """The same entries where a unit's are N apart, which depends on N."""
    if given.index is None and len(given.offsets) > 1 and apart(given.offsets, before):
        offsets = tuple(o // before * now for o in given.offsets)
        return dataclasses.replace(given, offsets=offsets)
    return given
