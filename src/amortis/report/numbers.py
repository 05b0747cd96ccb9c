"""A fit's numbers as plain data, ready for JSON."""

import math
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from jaxtyping import ArrayLike, Float

from amortis._version import __version__
from amortis.fitting import Estimate, Fit
from amortis.model import AbstractRebind

Moments = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""By site, mean and standard deviation, as `Fit.moments` returns them."""

_MOST_NUMBERS = 10_000
"""Numbers of a site that are written out; weights of networks are in the archive."""

_PACKAGES = ("jax", "numpyro", "equinox", "optax", "numpy")


def fit_numbers(fit: Fit, elbo: Estimate, moments: Moments, seconds: float) -> dict[str, Any]:
    """Gather what a fit found, and what it took, as strings, numbers, lists and dictionaries.

    Args:
        fit: the fit.
        elbo: its ELBO on fresh draws, in nats, total.
        moments: means and standard deviations by site on the constrained scale, from
            `fit.moments()`; those of the model's globals are reported, estimates without a prior
            among them, but for sites of more than 10 000 numbers, of which the shape is.
        seconds: wall time of the fit, compilation included.

    Returns:
        A dictionary that `json.dumps(..., allow_nan=False)` takes: what is not finite is None.
    """
    model, history = fit.model, fit.history
    blocks = len(history.seconds)
    return {
        "status": {
            "name": fit.status.name,
            "sentence": fit.status.value,
            "settled": fit.status.settled,
        },
        "elbo": {
            "mean": _number(elbo.mean),
            "se": _number(elbo.se),
            "unit": elbo.unit,
            "per_datum": _number(elbo.mean / model.size),
        },
        "inference_function": type(fit.guide.inference).__name__,
        "globals_family": type(fit.guide.global_family).__name__,
        "parameters": fit.parameters,
        "rows": model.size,
        "plate": model.plate,
        "seconds": round(seconds, 6),
        "draws": int(history.draws[-1]) if blocks else None,
        "iterations": int(history.iterations[-1]) if blocks else 0,
        "globals": {
            site: _shown(mean, sd) for site, (mean, sd) in global_moments(fit, moments).items()
        },
        "history": {
            "seconds": _nested(history.seconds),
            "objective": _nested(history.objective),
            "unit": "nats, total, on the optimiser's own draws",
        },
        "versions": versions(),
        "device": jax.default_backend(),
    }


def global_moments(fit: Fit, moments: Moments) -> dict[str, tuple[ArrayLike, ArrayLike]]:
    """Moments of the globals by site, and estimates without a prior by array, with sds of zero.

    Args:
        fit: the fit.
        moments: from `fit.moments()`, which has no estimates.
    """
    rebind = fit.model.rebind
    sites = rebind.parameters if isinstance(rebind, AbstractRebind) else ()
    estimates: dict[str, tuple[ArrayLike, ArrayLike]] = {}
    for site in sites or ():
        values = jax.tree.leaves(fit.params[site.name])
        pairs = zip(site.leaves, values, strict=True)
        estimates |= {name: (value, np.zeros(np.shape(value))) for name, value in pairs}
    known = estimates | dict(moments)
    return {site: known[site] for site in fit.model.globals_}


def versions() -> dict[str, str]:
    """Versions of this library, of Python, and of the libraries that numbers depend on."""
    return {
        "amortis": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def flat_entries(
    name: str, mean: Float[ArrayLike, "..."], sd: Float[ArrayLike, "..."]
) -> Iterator[tuple[str, float, float]]:
    """Name each entry of a site's moments, such as `W[0,3]`; a scalar keeps the site's name.

    Args:
        name: the site.
        mean: its means.
        sd: its standard deviations, of the same shape.

    Yields:
        Entry name, mean and standard deviation, in C order.
    """
    means, sds = np.asarray(mean), np.asarray(sd)
    for index in np.ndindex(means.shape):
        label = f"{name}[{','.join(map(str, index))}]" if index else name
        yield label, float(means[index]), float(sds[index])


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _shown(mean: ArrayLike, sd: ArrayLike) -> dict[str, Any]:
    if np.size(mean) > _MOST_NUMBERS:
        return {"shape": list(np.shape(mean))}
    return {"mean": _nested(mean), "sd": _nested(sd)}


def _nested(values: ArrayLike) -> Any:
    """Nested lists of numbers, None in place of what is not finite."""
    array = np.asarray(values, np.float64)
    return [_nested(part) for part in array] if array.ndim else _number(float(array))
