r"""Linear response: how the means of a fit move when the posterior is tilted.

The covariance of f under the posterior is the derivative of $E[f]$ when $t^\top f$ is added to the
log joint, at t = 0. Of a variational fit it is
$\nabla E_q[f]\, H^{-1} \nabla E_q[f]^\top$, H the Hessian of minus the ELBO in q's parameters.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._errors import ArgumentError, NotAnOptimumError
from amortis.families import Conditional, DiagonalNormal, FramedMean
from amortis.fitting.draws import Fitted
from amortis.fitting.moments import scattered_noise
from amortis.fitting.responding import Of, of_globals, require_slopes
from amortis.guide import Noise
from amortis.objectives import ClosedFormEntropy, elbo_draws, fixed_noise

_MOST_WHOLE = 3000
"""Parameters whose Hessian is held as one matrix: of the globals, and of all where units touch."""

_FRAMED, _ILL = 500, 1e3
"""Globals up to which, and condition of their correlations from which, a frame is worth it."""


def linear_response(fitted: Fitted, draws: int, of: Of) -> Float[np.ndarray, "k k"]:
    r"""The linear response covariance of a function of the latents.

    Where units stand alone the Hessian is an arrow: a block for the globals, one for each row, and
    what ties them. The rows are solved for one by one, so that the cost is that of as many
    derivatives as globals and one row have raw parameters. The rows' own factors are what responds,
    also where a function has made them: at its optimum the two are the same, and a tilt of the
    posterior moves each row's optimum, not the function's parameters.

    Args:
        fitted: a fit at its optimum.
        draws: fixed draws of the expectations, those of the fit.
        of: the function, of unconstrained values.

    Returns:
        The covariance, in double precision.

    Raises:
        NotAnOptimumError: the Hessian is not positive definite.
        ArgumentError: a model whose units touch each other and are too many.

    References:
        Giordano, Broderick & Jordan, *Covariances, robustness, and variational Bayes* (2018).
    """
    if not fitted.guide.global_family.is_identified:
        raise ArgumentError(
            f"the globals' factor is {type(fitted.guide.global_family).__name__}, some of whose "
            f"parameters do not matter, so that the ELBO does not curve along them; expected one "
            f"such as DiagonalNormal(): fit that for a linear response covariance"
        )
    tied = isinstance(fitted.guide.local_family, Conditional)
    if tied and not fitted.guide.global_family.is_density:
        raise ArgumentError(
            "the locals are Conditional(...) on globals that Point() holds at a point, so that how "
            "they move with them is open; expected locals of their own: fit DiagonalNormal()"
        )
    if fitted.variational["globals"].size > _MOST_WHOLE:
        raise ArgumentError(
            f"the globals' factor has {fitted.variational['globals'].size} parameters; expected at "
            f"most {_MOST_WHOLE} for a covariance: fit DiagonalNormal()"
        )
    noise = fixed_noise(fitted.guide, jax.random.key(0), draws, fitted.model.coupled)
    state = _State(fitted.variational["globals"], _raw(fitted))
    if not fitted.model.coupled:
        parts = _arrow_on_host(fitted, state, noise, of)
        require_slopes(parts.head_slopes, parts.row_slopes)
        return _solved(parts)
    size = state.globals_.size + state.raw.size
    if size > _MOST_WHOLE:
        raise ArgumentError(
            f"the fit has {size} parameters of units that touch each other; expected at most "
            f"{_MOST_WHOLE} for a covariance: their Hessian is one dense matrix"
        )
    hessian, slopes = (np.asarray(v, np.float64) for v in _dense(fitted, state, noise, of))
    require_slopes(slopes)
    return slopes @ _inverse_times(hessian, slopes.T, "the fit")


def row_responses(fitted: Fitted, draws: int) -> Float[np.ndarray, "rows raw d"] | None:
    r"""How each row's optimal factor moves with the mean of the globals.

    $\partial\nu_n^*/\partial m = -H_{nn}^{-1}H_{nm}$, the globals' sds held.

    Args:
        fitted: a fit with `DiagonalNormal()` globals, at its optimum.
        draws: fixed draws of the expectations.

    Returns:
        Derivatives of the raw parameters of each row in each mean; None where units touch each
        other, or some row is at no optimum.
    """
    if fitted.model.coupled:
        return None
    noise = fixed_noise(fitted.guide, jax.random.key(0), draws, False)
    state = _State(fitted.variational["globals"], _raw(fitted))
    parts = _arrow_on_host(fitted, state, noise, of_globals)
    tie, rows = parts.tie, parts.rows
    blocks: np.ndarray = np.moveaxis(rows, 1, 0)
    if not np.isfinite(blocks).all():
        return None
    if not (np.linalg.eigvalsh(0.5 * (blocks + np.swapaxes(blocks, 1, 2))) > 0.0).all():
        return None
    means = tie[: fitted.guide.theta.dimension]
    return -np.linalg.solve(blocks, np.moveaxis(means, 0, 2))


def response(fitted: Fitted, draws: int, of: Of) -> Float[np.ndarray, "k k"]:
    r"""The same as `linear_response`, with no digits lost along ridges.

    In single precision the Hessian in q's own coordinates loses what an ill-conditioned posterior
    needs: sds were 6 % off at a condition of $10^6$. A mean-field fit is then looked at again in
    the frame of the first answer, in which all directions of the mean curve alike.

    Args:
        fitted: a fit at its optimum.
        draws: fixed draws of the expectations, those of the fit.
        of: the function, of unconstrained values.

    Raises:
        NotAnOptimumError: the Hessian is not positive definite.
        ArgumentError: see `linear_response`.
    """
    dimension = fitted.guide.theta.dimension
    if not isinstance(fitted.guide.global_family, DiagonalNormal) or not 1 < dimension <= _FRAMED:
        return linear_response(fitted, draws, of)
    covariance = linear_response(fitted, draws, of_globals)
    sd = np.sqrt(np.diagonal(covariance))
    values = np.linalg.eigvalsh(covariance / np.outer(sd, sd))
    if values[0] <= 0.0 or values[-1] / values[0] < _ILL:
        return covariance if of is of_globals else linear_response(fitted, draws, of)
    raw = fitted.variational["globals"]
    root = jnp.asarray(np.linalg.cholesky(covariance), raw.dtype)
    family = FramedMean(raw[:dimension], root)
    framed = Fitted(
        fitted.model,
        dataclasses.replace(fitted.guide, global_family=family),
        {**fitted.variational, "globals": raw.at[:dimension].set(0.0)},
    )
    return linear_response(framed, draws, of)


class _State(NamedTuple):
    """What responds: raw parameters of the globals, and of every row."""

    globals_: Float[Array, " raw"]
    raw: Float[Array, "rows raw"]


class _Arrow(NamedTuple):
    """The Hessian of minus the ELBO by blocks, and the slopes of the function's means.

    Attributes:
        head: the block of the globals, (g, g).
        tie: globals with rows, (g, rows, raw).
        rows: the block of each row, (raw, rows, raw).
        head_slopes: derivatives of the means in the globals, (k, g).
        row_slopes: in the rows, (k, rows, raw).
    """

    head: np.ndarray
    tie: np.ndarray
    rows: np.ndarray
    head_slopes: np.ndarray
    row_slopes: np.ndarray


@eqx.filter_jit
def _raw(fitted: Fitted) -> Array:
    return fitted.guide.fitted_raw(fitted.variational, None)


def _loss(fitted: Fitted, noise: Noise) -> Callable[[Any], Array]:
    def loss(state: _State) -> Array:
        parameters = {**fitted.variational, "globals": state.globals_}
        draws = elbo_draws(
            fitted.model,
            fitted.guide,
            ClosedFormEntropy(),
            parameters,
            noise,
            None,
            raw=state.raw,
        )
        return -jnp.vdot(jnp.asarray(noise.weight), draws)

    return loss


def _means(fitted: Fitted, noise: Noise, of: Of) -> Callable[[Any], Array]:
    # The rule of the ELBO may give all rows the same noise, which is right for sums over rows only.
    noise = noise if of is of_globals else scattered_noise(fitted)

    def means(state: _State) -> Array:
        parameters = {**fitted.variational, "globals": state.globals_}

        def one(noise: Noise) -> Array:
            theta, z = fitted.guide.sample(parameters, state.raw, noise)
            return jnp.ravel(of(theta, z))

        return jnp.asarray(noise.weight) @ jax.vmap(one)(noise)

    return means


@eqx.filter_jit
def _arrow(
    fitted: Fitted, state: _State, noise: Noise, of: Of
) -> tuple[Array, Array, Array, Array, Array]:
    """The parts of `_Arrow`."""
    slope = jax.grad(_loss(fitted, noise))
    still = jax.tree.map(jnp.zeros_like, state)

    def along_global(direction: Array) -> tuple[Array, Array]:
        moved = jax.jvp(slope, (state,), (still._replace(globals_=direction),))[1]
        return moved.globals_, moved.raw

    def along_rows(direction: Array) -> Array:
        # Rows do not touch: one direction for all of them gives a column of each row's block.
        wide = jnp.broadcast_to(direction, state.raw.shape)
        return jax.jvp(slope, (state,), (still._replace(raw=wide),))[1].raw

    dtype = state.raw.dtype
    head, tie = jax.lax.map(along_global, jnp.eye(state.globals_.size, dtype=dtype))
    width = state.raw.shape[1]
    rows = jax.lax.map(along_rows, jnp.eye(width, dtype=dtype)) if width else jnp.zeros((0, 0, 0))
    slopes = jax.jacrev(_means(fitted, noise, of))(state)
    return head, tie, rows, slopes.globals_, slopes.raw


def _arrow_on_host(fitted: Fitted, state: _State, noise: Noise, of: Of) -> _Arrow:
    """The same in double precision."""
    return _Arrow(*(np.asarray(part, np.float64) for part in _arrow(fitted, state, noise, of)))


def _solved(parts: _Arrow) -> Float[np.ndarray, "k k"]:
    """The covariance, with every row solved for and taken out: the Schur complement, in double."""
    head, tie, rows, head_slopes, row_slopes = parts
    own: np.ndarray = np.zeros((len(head_slopes), len(head_slopes)))
    if rows.size:
        blocks = np.moveaxis(rows, 1, 0)
        blocks = 0.5 * (blocks + np.swapaxes(blocks, 1, 2))
        _require_definite(blocks, "some rows of the fit")
        from_tie = np.linalg.solve(blocks, np.moveaxis(tie, 0, 2))  # rows, raw, g
        from_slopes = np.linalg.solve(blocks, np.moveaxis(row_slopes, 0, 2))  # rows, raw, k
        head = head - np.einsum("gnr,nrh->gh", tie, from_tie)
        head_slopes = head_slopes - np.einsum("knr,nrg->kg", row_slopes, from_tie)
        own = np.einsum("knr,nrl->kl", row_slopes, from_slopes)
    if not head.size:
        return own
    return own + head_slopes @ _inverse_times(head, head_slopes.T, "the globals' part of the fit")


def _inverse_times(
    hessian: Float[np.ndarray, "g g"], columns: Float[np.ndarray, "g k"], what: str
) -> Float[np.ndarray, "g k"]:
    hessian = 0.5 * (hessian + hessian.T)
    # Scaled to a unit diagonal: sharp and flat globals stand side by side.
    scale = 1.0 / np.sqrt(np.maximum(np.diagonal(hessian), 1e-300))
    scaled = scale[:, None] * hessian * scale
    _require_definite(scaled, what)
    return scale[:, None] * np.linalg.solve(scaled, scale[:, None] * columns)


def _require_definite(hessian: Float[np.ndarray, "*blocks g g"], what: str) -> None:
    finite = np.isfinite(hessian).all()
    smallest = float(np.linalg.eigvalsh(hessian).min()) if finite else np.nan
    if not smallest > 0.0:
        raise NotAnOptimumError(
            f"the Hessian of the ELBO is not negative definite at {what} (smallest curvature "
            f"{smallest:.2g}); expected a fit at its optimum: fit with a finer tolerance, or "
            f"take another family"
        )


@eqx.filter_jit
def _dense(fitted: Fitted, state: _State, noise: Noise, of: Of) -> tuple[Array, Array]:
    """The whole Hessian, and the slopes."""
    flat, unravel = jax.flatten_util.ravel_pytree(state)
    slope = jax.grad(lambda point: _loss(fitted, noise)(unravel(point)))

    def along(direction: Array) -> Array:
        return jax.jvp(slope, (flat,), (direction,))[1]

    hessian = jax.lax.map(along, jnp.eye(flat.size, dtype=flat.dtype))
    slopes = jax.jacrev(lambda point: _means(fitted, noise, of)(unravel(point)))(flat)
    return hessian, slopes
