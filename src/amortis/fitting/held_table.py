"""A factor for every datum with the globals held, where units touch and cannot go one by one."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array

from amortis._types import Parameters, RandomKey
from amortis.fitting.choose import choose_gradient, choose_method
from amortis.fitting.record import Fit
from amortis.guide import Guide
from amortis.inference_functions import Table
from amortis.objectives import HeldGlobals, NegativeElbo
from amortis.optimise import AbstractMethod, Monitor, minimise


def table_at(fitted: Fit) -> Fit:
    """The same q with a free factor per datum, at the function's output.

    Args:
        fitted: any fit.

    Returns:
        A fit with `Table()` as its inference function, and the status of the old one.
    """
    old = fitted.guide
    guide = Guide.for_model(fitted.model, Table(), old.global_family, old.local_family)
    guide = dataclasses.replace(guide, offset=old.offset)
    start: dict[str, Any] = {
        "globals": fitted.variational["globals"],
        "locals": _centered(old, fitted.variational, guide.offset),
    }
    return dataclasses.replace(fitted, guide=guide, variational=start, objective=None)


@eqx.filter_jit
def _centered(guide: Guide, variational: Parameters, offset: Array) -> Array:
    """Raw parameters of all rows less the offset, compiled as one function."""
    return guide.fitted_raw(variational, None) - offset


def with_globals_held(
    table: Fit,
    key: RandomKey,
    optimiser: AbstractMethod | None = None,
    monitor: Monitor | None = None,
) -> Fit:
    r"""Optimise all rows' factors together with $q(\theta)$ held.

    Args:
        table: a fit with a factor per datum, where to start.
        key: random key.
        optimiser: how; chosen from the model's size if left out.
        monitor: see `Monitor`.

    Returns:
        The fit with the factors found.
    """
    chosen = choose_method(table.model, Table(), table.guide.global_family)
    method = chosen if optimiser is None else optimiser
    loss = NegativeElbo(table.model, table.guide, choose_gradient(method))
    held: Parameters = table.variational["globals"]
    starts = {"locals": table.variational["locals"][None]}
    outcome = minimise(method, HeldGlobals(loss, held), starts, key=key, monitor=monitor)
    return dataclasses.replace(
        table,
        variational={"globals": held, "locals": jax.numpy.asarray(outcome.parameters["locals"])},
        status=outcome.status,
        history=outcome.history,
    )
