"""Binding models all of whose latents are globals, with no plate to amortize over."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp

from amortis._errors import DensityMismatchError, ModelRaisedError, SlicingError
from amortis.model.arguments import Arguments
from amortis.model.checks import check_start
from amortis.model.inputs import as_inputs
from amortis.model.latent_model import LatentModel
from amortis.model.numpyro_joint import numpyro_joint
from amortis.model.numpyro_sites import ModelSites
from amortis.model.plates import LocalAxis, find_data_axis
from amortis.model.whole_density import WholeDensity
from amortis.structure import LatentAxis, Verdict

BindRows = Callable[[LocalAxis, ModelSites], LatentModel]

_DATA = LatentAxis("data", 1, {}, declared=False)
"""The one unit that all data are where the rows are not known to stand alone."""


def bind_without_locals(
    arguments: Arguments, found: ModelSites | None, by_rows: BindRows, verdict: Verdict
) -> LatentModel:
    r"""Bind a model whose latents are all globals.

    Where the observations lie in a plate of their own, rows are units without latents: the log
    joint is $\log p(\theta) + \sum_n \log p(x_n\mid\theta)$, and minibatches are unbiased.
    Elsewhere all data are one unit, and the whole log joint counts as the prior.

    Args:
        arguments: the model and its data.
        found: its sites; None where they cannot be listed, as of latents inside `scan`.
        by_rows: binds the model with rows along an axis, and checks it.
        verdict: that there are no locals, and why.

    Returns:
        The model, with `locals_` empty.

    Raises:
        ModelError: the model raises, or its log density is not finite at the start.
    """
    rows = [] if found is None else list(arguments.lengths().values())
    axis = None if found is None else find_data_axis(found.sites, rows)
    if axis is not None and found is not None and axis.size > 1:
        try:
            return dataclasses.replace(by_rows(axis, found), verdict=verdict)
        except (SlicingError, DensityMismatchError, ModelRaisedError):
            pass  # rows that do not stand alone are no reason to refuse: they are one unit
    joint = numpyro_joint(arguments)
    density = WholeDensity.of(joint, _DATA)
    inputs, names = as_inputs([], [], _DATA.size)
    model = LatentModel(
        density=density,
        data={"units": jnp.arange(_DATA.size)},
        inputs=inputs,
        globals_=dict(joint.latents),
        locals_={},
        size=_DATA.size,
        plate=_DATA.name,
        input_names=names,
        verdict=verdict,
        separable=False,
    )
    check_start(model, lambda theta, z, rows: density.log_probs(theta, z))
    return model
