"""Rows of a table that are stuck in a poor mode, moved to where other rows have a better one."""

import dataclasses
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.families import DiagonalNormal
from amortis.fitting.choose import choose_gradient
from amortis.fitting.paired import antithetic_noise, mean_and_se, paired_gains, seed_of
from amortis.fitting.record import Fit
from amortis.fitting.row_optima import optimal_rows, row_blocks, row_noise
from amortis.guide import Guide, Noise
from amortis.model import LatentModel
from amortis.objectives import AbstractGradient, NegativeElbo
from amortis.optimise import (
    AbstractMethod,
    FixedDraws,
    Monitor,
    Outcome,
    Status,
    minimise,
)

_CANDIDATES, _DRAWS, _ROUNDS = 64, 16, 3
_SCATTERED, _REACH, _NARROW = 256, 4.0, 0.1
"""Candidates where no row need be yet: how many, their spread in units of that of all locals, and
which quantile of the table's sds they have."""

_WORTHWHILE = 0.01
"""Nats by which a factor that is not even optimised has to be better than the row's own optimum."""

_ERRORS, _COMPARED_DRAWS = 4.0, 128
"""Standard errors, and the fresh draws that they are of: the best of many candidates is also the
luckiest on the draws that it was chosen by."""

_ORDER, _COMPARED = 7, 8  # what noise is for


def unstuck(
    fitted: Fit,
    method: AbstractMethod,
    *,
    key: RandomKey,
    gradient: AbstractGradient | None = None,
    monitor: Monitor | None = None,
) -> Fit:
    r"""Move rows of factorized inference out of poor modes, and optimise again.

    The problem of one row has several optima where its posterior has several modes, and which one
    is found depends on where the row started. Rows are alike, so that the factors $\nu_m$ of other
    rows say where modes are; and narrow normals are scattered over the range of the locals and
    beyond. Each row takes the best of all these if it alone, not optimised for the row, is better
    than its own optimum; that is repeated while rows move, three times at most. A pass is some
    5000 densities per row: 10 ms for the 10 000 rows of the paper's nonlinear model, 5 of which are
    stuck at first, and are 220 nats of the ELBO.

    Only with fixed draws, where all rows can be evaluated at once, and where rows can be taken
    apart; other fits are returned as they are.

    Args:
        fitted: a fit with a factor per row.
        method: the method that has made it, and goes on from the moved rows.
        key: random key.
        gradient: as of the fit; chosen by the method if left out.
        monitor: called after every block of the iterations that follow a move.

    Returns:
        The fit, with the histories of all optimisations end to end. After Ctrl-C the best so far.
    """
    if not (fitted.model.separable and isinstance(method, FixedDraws)):
        return fitted
    gradient = choose_gradient(method) if gradient is None else gradient
    loss = NegativeElbo(fitted.model, fitted.guide, gradient)
    for round_ in range(_ROUNDS):
        if fitted.status in (Status.DIVERGED, Status.INTERRUPTED):
            return fitted
        started = time.perf_counter()
        try:
            found = _once_more(fitted, loss, method, jax.random.fold_in(key, round_), monitor)
        except KeyboardInterrupt:
            return dataclasses.replace(fitted, status=Status.INTERRUPTED)
        if found is None or found.status is Status.DIVERGED:
            return fitted
        # The clock of the second search begins with the pass that made it necessary.
        spent = time.perf_counter() - started - float(found.history.seconds[-1])
        fitted = dataclasses.replace(
            fitted,
            variational=found.parameters,
            status=found.status,
            history=fitted.history.followed_by(found.history, spent),
        )
    return fitted


def _once_more(
    fitted: Fit,
    loss: NegativeElbo,
    method: AbstractMethod,
    key: RandomKey,
    monitor: Monitor | None,
) -> Outcome | None:
    """The optimisation again from moved rows; None if no row is better off elsewhere."""
    noise_key, search_key = jax.random.split(key)
    moved = _relocated(fitted, noise_key)
    if moved is None:
        return None
    starts = jax.tree.map(lambda leaf: leaf[None], moved)
    return minimise(method, loss, starts, key=search_key, monitor=monitor)


def _relocated(fitted: Fit, key: RandomKey) -> Parameters | None:
    """The parameters with stuck rows moved; None if no row is better off elsewhere."""
    model, guide = fitted.model, fitted.guide
    parts = (model, guide.factors(), {"globals": fitted.variational["globals"]})
    raw = np.asarray(guide.fitted_raw(fitted.variational, None))
    generator = np.random.default_rng(seed_of(key, _ORDER))
    chosen = generator.choice(model.size, min(_CANDIDATES, model.size), replace=False)
    candidates, found = raw[chosen], raw.copy()
    if type(guide.row_family) is DiagonalNormal:
        scattered = _scattered(fitted, generator)
        # What moves with the globals starts as what does not.
        wide = np.zeros((len(scattered), raw.shape[1] - scattered.shape[1]), raw.dtype)
        candidates = np.concatenate([candidates, np.concatenate([scattered, wide], axis=1)])
    for index in row_blocks(model, _COMPARED_DRAWS * max(guide.z.dimension, 1)):
        place = np.arange(model.size) if index is None else np.asarray(index)
        own = jnp.asarray(raw[place])
        noise = row_noise(guide, key, len(place), _DRAWS)
        best = _best_of(*parts, own, jnp.asarray(candidates), noise, index)
        if np.array_equal(best, own):
            continue
        seeds = seed_of(key, _COMPARED), seed_of(key, _COMPARED, 1 + int(place[0]))
        fresh = antithetic_noise(guide, *seeds, _COMPARED_DRAWS // 2, len(place))
        gain, error = mean_and_se(np.asarray(paired_gains(*parts, own, best, fresh, index)))
        sure = gain > _WORTHWHILE + _ERRORS * error
        found[place[sure]] = np.asarray(best)[sure]
    if np.array_equal(found, raw):
        return None
    return {**fitted.variational, "locals": jnp.asarray(found) - guide.offset}


def _scattered(fitted: Fit, generator: np.random.Generator) -> Float[np.ndarray, "candidates raw"]:
    """Narrow normals all over the range of the locals, and some way beyond."""
    mean, sd = (np.asarray(part, np.float64) for part in fitted.local_moments())
    spread = np.sqrt(mean.var(axis=0) + np.square(sd).mean(axis=0))
    points = numerics.low_discrepancy(_SCATTERED, mean.shape[1])
    where = mean.mean(axis=0) + _REACH * spread * generator.permuted(points, axis=0)
    log_sd = np.broadcast_to(np.log(np.quantile(sd, _NARROW, axis=0)), where.shape)
    return np.concatenate([where, log_sd], axis=1).astype(jnp.result_type(float))


@eqx.filter_jit
def _best_of(
    model: LatentModel,
    guide: Guide,
    variational: Parameters,
    own: Float[Array, "batch raw"],
    candidates: Float[Array, "candidates raw"],
    noise: Noise,
    index: RowIndex | None,
) -> Float[Array, "batch raw"]:
    """Of each row's own factor and the candidates the best, on the same draws."""

    def losses(raw: Float[Array, "batch raw"]) -> Float[Array, " batch"]:
        # No step at all: what is asked for is the loss where the search would start.
        found = optimal_rows(model, guide, variational, raw, noise, index, jnp.asarray(0))
        return jnp.where(jnp.isfinite(found.first_loss), found.first_loss, jnp.inf)

    def better(
        best: tuple[Array, Array], candidate: Float[Array, " raw"]
    ) -> tuple[tuple[Array, Array], None]:
        loss, raw = best
        tried = losses(jnp.broadcast_to(candidate, own.shape))
        lower = tried < loss
        return (jnp.where(lower, tried, loss), jnp.where(lower[:, None], candidate, raw)), None

    start = (losses(own) - _WORTHWHILE, own)
    return jax.lax.scan(better, start, candidates)[0][1]
