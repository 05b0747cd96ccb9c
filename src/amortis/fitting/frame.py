r"""Families that tie the globals are searched for in the frame that a mean-field fit suggests.

A mean-field fit is quick and robust, and its linear response covariance is that of the posterior
where this is Gaussian. In coordinates in which that covariance is the identity, what is left to
find is close to a standard normal, whatever the posterior's condition.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._errors import NotAnOptimumError
from amortis.families import Framed, FramedMean
from amortis.fitting.draws import Fitted
from amortis.fitting.linear_response import response
from amortis.fitting.record import Fit
from amortis.fitting.responding import of_globals

_MOST_GLOBALS = 500
"""Globals whose Hessian is taken for a frame; of more, the frame is diagonal."""

_RIDGE = 3.0
"""Sds of a mean-field factor by which the posterior's widest direction has to exceed them."""

_WIDEST = 1e5
"""Most that linear response may widen an sd: beyond that it is the fit that is at no optimum."""


def unconstrained_covariance(fitted: Fit) -> Float[np.ndarray, "d d"]:
    """The linear response covariance of the unconstrained globals; see `Fit.covariance`.

    Args:
        fitted: a fit.

    Raises:
        NotAnOptimumError: the fit is at no optimum.
    """
    return response(fitted.arrays, fitted.fixed_draws, of_globals)


def frame_of(fitted: Fit) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Mean, and a root of the covariance, of the unconstrained globals as a fit suggests them.

    Args:
        fitted: a fit with any factor of the globals that has a density.

    Returns:
        The mean, and a lower triangular root by linear response; diagonal with q's own sds where
        the fit is at no optimum, or the globals are many.
    """
    mean, sd = (np.asarray(part, np.float64) for part in fitted.global_moments())
    root = np.diag(sd)
    if len(mean) <= _MOST_GLOBALS:
        root = _responding(fitted.arrays, fitted.fixed_draws, sd)
    dtype = jnp.result_type(float)
    return jax.device_put(mean.astype(dtype)), jax.device_put(root.astype(dtype))


def _responding(
    fitted: Fitted, draws: int, sd: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "d d"]:
    try:
        covariance = response(fitted, draws, of_globals)
        scaled = covariance / np.outer(sd, sd)
        usable = np.isfinite(scaled).all() and np.diagonal(scaled).max(initial=0.0) < _WIDEST**2
        return sd[:, None] * np.linalg.cholesky(scaled) if usable else np.diag(sd)
    except (NotAnOptimumError, np.linalg.LinAlgError):
        # A saddle, or a posterior that is flat: the search begins where the mean-field fit ended.
        return np.diag(sd)


def has_ridges(fitted: Fit, root: Float[Array, "d d"]) -> bool:
    """Whether the posterior is much wider along some direction than q's own sds say.

    Args:
        fitted: a mean-field fit.
        root: of the covariance of its globals; see `frame_of`.
    """
    _, sd = fitted.global_moments()
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.asarray(root, np.float64) / np.asarray(sd, np.float64)[:, None]
    return bool(np.isfinite(scaled).all() and np.linalg.norm(scaled, 2) > _RIDGE)


def unframed(fitted: Fit) -> Fit:
    """The same q, with the globals' raw parameters in the family that the user chose."""
    family = fitted.guide.global_family
    if not isinstance(family, Framed | FramedMean):
        return fitted
    raw = family.unframed(jnp.asarray(fitted.variational["globals"]))
    return dataclasses.replace(
        fitted,
        guide=dataclasses.replace(fitted.guide, global_family=family.inner),
        variational={**fitted.variational, "globals": raw},
    )
