"""What the figures show: predictive bands, and marginal densities."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Array, Float, Key

import amortis
from amortis.experiments.sir.exact import ExactSir
from amortis.experiments.sir.results import Lines

LATENTS = ("gamma", "beta", "phi_inv")
"""In the order of the axes of the grid."""

BAND = (0.05, 0.5, 0.95)
"""Quantiles of replicated counts."""

_PREDICTED, _SMOOTHED = 4000, 50_000


def predictive_band(fit: amortis.Fit, key: Key[Array, ""]) -> Lines:
    """Quantiles `BAND` of replicated counts by day, of draws for which there is a solution.

    Args:
        fit: of the SIR model.
        key: random key.
    """
    counts = amortis.predict(fit, key=key, draws=_PREDICTED)["cases"]
    solved = fit.posterior(key=key, draws=_PREDICTED)["solved"] > 0.5
    return _lines(np.quantile(counts[solved], BAND, axis=0))


def exact_densities(exact: ExactSir) -> Lines:
    """Densities of log γ, log β and log φ⁻¹ at the nodes of their axes."""
    return _lines([exact.marginal(axis) for axis in range(len(LATENTS))])


def densities(fit: amortis.Fit, exact: ExactSir, key: Key[Array, ""]) -> Lines:
    """The same of q, by a kernel smoother of its draws.

    Args:
        fit: of the SIR model.
        exact: gives the nodes.
        key: random key.
    """
    draws = fit.posterior(key=key, draws=_SMOOTHED)
    return _lines(
        _smoothed(np.log(np.asarray(draws[name], np.float64)), axis)
        for name, axis in zip(LATENTS, exact.axes, strict=True)
    )


def _smoothed(
    values: Float[np.ndarray, " draws"], nodes: Float[np.ndarray, " nodes"]
) -> Float[np.ndarray, " nodes"]:
    """Normal kernels of Scott's width, which add 1 % to the sd of 50 000 draws."""
    width = values.std() * len(values) ** -0.2
    kernels = np.exp(-0.5 * np.square((nodes[:, None] - values) / width))
    return kernels.mean(axis=1) / (width * np.sqrt(2.0 * np.pi))


def _lines(values: Iterable[Float[np.ndarray, " points"]]) -> Lines:
    return tuple(tuple(float(v) for v in line) for line in values)
