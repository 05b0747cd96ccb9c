"""`refine`: semi-amortized inference, a factor per datum that starts at the function's output."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amortis._errors import ArgumentError
from amortis._require import require_callable, require_key, require_kind
from amortis._types import RandomKey
from amortis.fitting.choose import choose_gradient, choose_method
from amortis.fitting.record import Fit
from amortis.fitting.row_optima import OPTIMISED_DRAWS, optimal_rows, row_blocks, row_noise
from amortis.guide import Guide
from amortis.inference_functions import Table
from amortis.objectives import NegativeElbo
from amortis.optimise import AbstractMethod, Monitor, minimise

_COMPARED_DRAWS = 256


def refine(
    fitted: Fit,
    *,
    key: RandomKey,
    optimiser: AbstractMethod | None = None,
    monitor: Monitor | None = None,
) -> Fit:
    r"""Give every datum a factor of its own, started at the function's output, and go on.

    Semi-amortized variational inference: the amortized fit is the start of factorized inference,
    $\nu_n = f_\phi(w_n)$, which then is free to close the amortization gap. From here F-VI does not
    get stuck where it does from random starts, and it closes gaps that no function can close, as of
    models whose locals touch each other. New data that `infer` has bound are refined with
    $q(\theta)$ held, each on its own.

    Args:
        fitted: any fit.
        key: random key.
        optimiser: how to optimise; chosen from the model's size if left out.
        monitor: called after every block of iterations, as by `fit`.

    Returns:
        A fit with `Table()` as its inference function. Where it did not gain on common fresh draws,
        its factors are the function's outputs.

    Raises:
        ArgumentError: something other than a fit, a key of the old kind, or new data of a model
            whose units touch each other.

    References:
        Kim et al., *Semi-Amortized Variational Autoencoders* (2018); Margossian & Blei (2024), §5.
    """
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    require_key(key)
    if monitor is not None:
        require_callable("monitor", monitor)
    noise_key, compare_key = jax.random.split(key)
    old = fitted.guide
    guide = Guide.for_model(fitted.model, Table(), old.global_family, old.local_family)
    guide = dataclasses.replace(guide, offset=old.offset)
    start = {
        "globals": fitted.variational["globals"],
        "locals": old.fitted_raw(fitted.variational, None) - guide.offset,
    }
    if fitted.held:
        return _refine_held(fitted, guide, start, noise_key)
    method = choose_method(fitted.model, Table()) if optimiser is None else optimiser
    loss = NegativeElbo(fitted.model, guide, choose_gradient(method))
    starts = jax.tree.map(lambda leaf: leaf[None], start)
    outcome = minimise(method, loss, starts, key=noise_key, monitor=monitor)
    refined = Fit(fitted.model, guide, outcome.parameters, outcome.status, outcome.history)
    before = dataclasses.replace(refined, variational=start)
    gained = _elbo(refined, compare_key) - _elbo(before, compare_key)
    return refined if np.isfinite(gained) and gained >= 0.0 else before


def _elbo(fitted: Fit, key: RandomKey) -> float:
    """The ELBO on draws that both fits share, since their key is the same."""
    return fitted.elbo(key=key, draws=_COMPARED_DRAWS).mean


def _refine_held(fitted: Fit, guide: Guide, start: dict[str, Any], key: RandomKey) -> Fit:
    """Every row's own optimum, block by block, with the globals as they are."""
    model = fitted.model
    if not model.separable:
        raise ArgumentError(
            f"the units of {model.plate!r} touch each other, so that new ones cannot be refined "
            f"with the globals held; expected a model that `check` calls POINTWISE or GROUPED"
        )
    table = np.array(start["locals"])
    held = dataclasses.replace(fitted, guide=guide, variational=start)
    for index in row_blocks(model, OPTIMISED_DRAWS * max(guide.z.dimension, 1)):
        place = np.arange(model.size) if index is None else np.asarray(index)
        raw = guide.fitted_raw(start, index)
        noise = row_noise(guide, key, len(place))
        found = optimal_rows(model, guide, start, raw, noise, index)
        table[place] = np.asarray(found.raw - guide.offset)
    return dataclasses.replace(held, variational={**start, "locals": jnp.asarray(table)})
