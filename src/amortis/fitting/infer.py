"""`infer`: posteriors for new data, by evaluating the fitted function and nothing more."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._errors import ArgumentError, DataError
from amortis._require import require_kind
from amortis.fitting.record import Fit
from amortis.fitting.trained import Trained
from amortis.model import LatentModel, Membership, Series
from amortis.objectives import with_row_elbos


def infer(fitted: Fit | Trained, *args: Any, **kwargs: Any) -> Fit:
    r"""Bind a fit to new data: $q(\theta)\prod_m q(z_m; f_\phi(w_m))$, with nothing optimised.

    The result is a fit like any other, of the same globals and the same function, whose rows are
    the new ones: ask it for `moments()` or `posterior(key=key)`, `diagnose` it to see whether the
    function serves them (the gap is then the generalization gap), and `refine` it to give each of
    them its own optimum with $q(\theta)$ held. New units may be rows, groups or series of any
    number; at the ends of a new series missing rows are taken to be average.

    Args:
        fitted: a fit of an inference function, or what `load` has read of one; a `Table` has no
            function for new data.
        *args: new data, as the model takes them.
        **kwargs: the model's keyword arguments.

    Returns:
        The fit, bound to the new data; `held` is true, since $q(\theta)$ comes from other data.

    Raises:
        ArgumentError: a fit of `Table()`, or a model that cannot be bound again.
        DataError: new data that cannot be bound, with other columns, or with unseen categories.
    """
    require_kind("fitted", fitted, Fit | Trained, "amortis.fit(model, key=key)")
    trained = fitted if isinstance(fitted, Trained) else Trained.of(fitted)
    return bound_to(trained, require_function(trained)(*args, **kwargs), held=True)


def require_function(trained: Trained) -> Callable[..., LatentModel]:
    """What binds the model of a fit to new data, if the fit has a function for those.

    Raises:
        ArgumentError: it has a factor for each old datum only, or its model cannot be bound again.
    """
    if trained.guide.inference.owns_rows:
        raise ArgumentError(
            f"the fit has {type(trained.guide.inference).__name__}(), a factor for each datum that "
            f"it was fitted to and no function for new data; expected an inference function such "
            f"as MLP(): infer with the fit that was refined"
        )
    if trained.rebind is None:
        raise ArgumentError(
            "the model of this fit cannot be bound again; expected one made by from_numpyro or "
            "from_density: if the fit was loaded, load it with its model, amortis.load(path, model)"
        )
    return trained.rebind


def bound_to(trained: Trained, model: LatentModel, held: bool) -> Fit:
    """The fit of a bound model that has the parameters of another, and reads the same columns.

    Args:
        trained: what was learned.
        model: the same model, bound to any data.
        held: whether these data are other ones than those of the fit.

    Returns:
        The fit, bound to the data of `model`.

    Raises:
        DataError: the latents or the columns are others, or a series is too short for its windows.
    """
    model = _alike(trained, model)
    guide = trained.guide
    parts = guide.inference.arrange(model.all_inputs)
    if held and parts.edge is not None:
        if parts.edges == model.size:
            raise DataError(
                f"the new series has {model.size} units, none of which has a whole window for "
                f"{guide.inference}; expected some: pass a longer series, with the rows at its "
                f"edges"
            )
        # Parameters of ends belong to the series that was fitted.
        parts = dataclasses.replace(parts, edge=jnp.full_like(parts.edge, -1))
    bound = dataclasses.replace(
        guide,
        contexts=guide.inference.context(guide.standardize.on_host(parts)),
        shape=dataclasses.replace(guide.shape, rows=model.size),
    )
    return Fit(
        model,
        with_row_elbos(bound, model),
        trained.variational,
        trained.status,
        trained.history,
        held,
        objective=trained.objective,
    )


def _alike(old: Trained, new: LatentModel) -> LatentModel:
    """The new model, with the inputs in the columns that the function reads.

    Raises:
        DataError: the latents or the columns are others.
    """
    for what, known, found in (
        ("globals", old.guide.theta.shapes, new.globals_),
        ("locals", old.guide.z.shapes, new.locals_),
    ):
        if dict(known) != dict(found):
            raise DataError(
                f"with the new data the model has {what} {_shapes(found)}, but it was fitted with "
                f"{_shapes(known)}; expected the same shapes: pass data of the same kind, with as "
                f"many groups and columns, and what the fit had of other arguments (--set)"
            )
    inputs = _columns(new.inputs, new.input_names, old.input_names)
    series, members = new.series, new.members
    if old.series_names is not None and series is not None:
        values = _columns(series.values, series.names, old.series_names)
        series = Series(values, series.stride, old.series_names)
    if old.member_names is not None and members is not None:
        values = _columns(members.values, members.names, old.member_names)
        members = Membership(values, members.groups, old.member_names)
    if (old.member_names is None) != (members is None):
        raise DataError(
            "with the new data the units do not own groups of rows as they did when the model was "
            "fitted; expected data of the same structure: pass the index of groups as well"
        )
    return dataclasses.replace(
        new, inputs=inputs, input_names=old.input_names, series=series, members=members
    )


def _shapes(sites: Any) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in sites.items()) or "none"


def _columns(
    values: Float[Array, "rows columns"], names: tuple[str, ...], wanted: tuple[str, ...]
) -> Float[Array, "rows wanted"]:
    """The columns by name; categories that do not occur in the new data are columns of zeros."""
    if names == wanted:
        return values  # taking thousands of columns one by one takes longer than anything else here
    place = {name: i for i, name in enumerate(names)}
    unseen = [n for n in names if "=" in n and _array_of(n) in map(_array_of, wanted)]
    unseen = [n for n in unseen if n not in wanted]
    if unseen:
        raise DataError(
            f"the new data have the category {unseen[0]}, which was not among the data that the "
            f"model was fitted to; expected the same categories: fit again with data of all"
        )
    missing = [n for n in wanted if n not in place and "=" not in n]
    if missing:
        raise DataError(
            f"the new data have no column {missing[0]!r} for the inference function to read; "
            f"expected columns {', '.join(wanted)}: pass data of the same shapes"
        )
    padded = jnp.concatenate([values, jnp.zeros((values.shape[0], 1), values.dtype)], axis=1)
    return padded[:, np.asarray([place.get(n, len(names)) for n in wanted], int)]


def _array_of(label: str) -> str:
    return label.split("=", 1)[0].split("[", 1)[0]
