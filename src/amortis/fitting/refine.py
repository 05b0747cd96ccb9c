"""`refine`: semi-amortized inference, a factor per datum that starts at the function's output."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Int

from amortis._errors import ArgumentError
from amortis._require import require_callable, require_key, require_kind
from amortis._types import RandomKey
from amortis.fitting.choose import choose_gradient, choose_method
from amortis.fitting.held_table import table_at, with_globals_held
from amortis.fitting.paired import antithetic_noise, paired_gains, seed_of
from amortis.fitting.record import Fit
from amortis.fitting.relocate import unstuck
from amortis.fitting.row_optima import (
    OPTIMISED_DRAWS,
    optimal_rows,
    polished_rows,
    polishing_noise,
    row_blocks,
    row_noise,
)
from amortis.inference_functions import Table
from amortis.objectives import NegativeElbo
from amortis.optimise import AbstractMethod, Monitor, minimise

_COMPARED_DRAWS = 256
_COMPARED = 6  # what noise is for


def refine(
    fitted: Fit,
    *,
    key: RandomKey,
    rows: ArrayLike | Sequence[int] | None = None,
    optimiser: AbstractMethod | None = None,
    monitor: Monitor | None = None,
) -> Fit:
    r"""Give every datum a factor of its own, started at the function's output, and go on.

    Semi-amortized variational inference: the amortized fit is the start of factorized inference,
    $\nu_n = f_\phi(w_n)$, which then is free to close the amortization gap. From here F-VI does not
    get stuck where it does from random starts, and it closes gaps that no function can close, as of
    models whose locals touch each other.

    Some rows only, such as the worst that `diagnose` names, and new data that `infer` has bound,
    are refined with $q(\theta)$ held: each row by damped Newton steps of its own, and all together
    where units touch each other.

    Args:
        fitted: any fit.
        key: random key.
        rows: positions of the data to refine; all of them if left out.
        optimiser: how to optimise; chosen from the model's size if left out.
        monitor: called after every block of iterations, as by `fit`.

    Returns:
        A fit with `Table()` as its inference function. Where it did not gain on common fresh draws,
        row by row if rows are refined apart, its factors are the function's outputs.

    Raises:
        ArgumentError: something other than a fit, a key of the old kind, positions that are not in
            the data, or some rows of a model whose units touch each other.

    References:
        Kim et al., *Semi-Amortized Variational Autoencoders* (2018); Margossian & Blei (2024), §5.
    """
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    require_key(key)
    if monitor is not None:
        require_callable("monitor", monitor)
    if not fitted.model.locals_:
        raise ArgumentError(
            "refine got a fit of a model without local latents; expected rows to refine: try "
            "another factor of the globals, as amortis.select_family(model, key=key) does"
        )
    chosen = None if rows is None else _positions(fitted, rows)
    noise_key, compare_key = jax.random.split(key)
    table = table_at(fitted)
    if fitted.model.separable and (fitted.held or chosen is not None):
        return _by_row(table, noise_key, chosen)
    if fitted.held:
        refined = with_globals_held(table, noise_key, optimiser, monitor)
    else:
        refined = _all_together(table, noise_key, optimiser, monitor)
    before = dataclasses.replace(refined, variational=table.variational)
    gained = _elbo(refined, compare_key) - _elbo(before, compare_key)
    return refined if np.isfinite(gained) and gained >= 0.0 else before


def _positions(fitted: Fit, rows: ArrayLike | Sequence[Any]) -> Int[np.ndarray, " some"]:
    found, size = np.asarray(rows), fitted.model.size
    if found.size == 0:
        raise ArgumentError(
            "rows is empty; expected positions of data, as in rows=[3, 17]: keep the fit as it is"
        )
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise ArgumentError(
            f"rows has shape {found.shape} and type {found.dtype}; expected positions of data, as "
            f"in rows=[3, 17]"
        )
    if found.min() < 0 or found.max() >= size:
        outside = found.min() if found.min() < 0 else found.max()
        raise ArgumentError(f"rows names datum {outside}; expected positions from 0 to {size - 1}")
    if not fitted.model.separable:
        raise ArgumentError(
            f"rows names {len(found)} units of {fitted.model.plate!r}, which cannot be evaluated "
            f"apart; expected all of them: leave rows out"
        )
    return found


def _all_together(
    table: Fit, key: RandomKey, optimiser: AbstractMethod | None, monitor: Monitor | None
) -> Fit:
    """Factorized inference of globals and locals from the function's output."""
    chosen = choose_method(table.model, Table(), table.guide.global_family)
    method = chosen if optimiser is None else optimiser
    loss = NegativeElbo(table.model, table.guide, choose_gradient(method))
    starts = jax.tree.map(lambda leaf: leaf[None], table.variational)
    outcome = minimise(method, loss, starts, key=key, monitor=monitor)
    found = Fit(table.model, table.guide, outcome.parameters, outcome.status, outcome.history)
    return unstuck(found, method, key=jax.random.fold_in(key, 1), monitor=monitor)


def _elbo(fitted: Fit, key: RandomKey) -> float:
    """The ELBO on draws that both fits share, since their key is the same."""
    return fitted.elbo(key=key, draws=_COMPARED_DRAWS).mean


def _by_row(table: Fit, key: RandomKey, chosen: Int[np.ndarray, " some"] | None) -> Fit:
    """The optimum of every row, or of some, block by block, with the globals as they are.

    A row whose optimum does not gain on fresh draws keeps what it had.
    """
    model, guide, start = table.model, table.guide, table.variational
    parts = (model, guide.factors(), {"globals": start["globals"]})
    locals_, many = np.array(start["locals"]), polishing_noise(guide)
    for index in _blocks(table, chosen, 0 if many is None else np.size(many.weight)):
        place = np.arange(model.size) if index is None else np.asarray(index)
        raw = guide.fitted_raw(start, index)
        found = optimal_rows(*parts, raw, row_noise(guide, key, len(place)), index)
        best = polished_rows(*parts, raw, many, index, found).raw
        seeds = seed_of(key, _COMPARED), seed_of(key, _COMPARED, 1 + int(place[0]))
        fresh = antithetic_noise(guide, *seeds, _COMPARED_DRAWS // 2, len(place))
        gained = np.asarray(paired_gains(*parts, raw, best, fresh, index)).mean(axis=0) > 0.0
        kept = jnp.where(jnp.asarray(gained)[:, None], best, raw)
        locals_[place] = np.asarray(kept - guide.offset)
    return dataclasses.replace(table, variational={**start, "locals": jnp.asarray(locals_)})


def _blocks(
    table: Fit, chosen: Int[np.ndarray, " some"] | None, most_draws: int
) -> list[jnp.ndarray | None]:
    per_row = max(OPTIMISED_DRAWS, most_draws) * max(table.guide.z.dimension, 1)
    blocks = row_blocks(table.model, per_row)
    if chosen is None:
        return blocks
    most = table.model.size if blocks[0] is None else len(blocks[0])
    return [jnp.asarray(chosen[i : i + most]) for i in range(0, len(chosen), most)]
