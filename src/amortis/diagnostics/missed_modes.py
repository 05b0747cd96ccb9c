"""Modes of a posterior without rows that q gives no mass."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._types import RandomKey
from amortis.families import AbstractFamily, Mixture
from amortis.fitting import (
    Fit,
    LogJoint,
    climbed,
    climbed_from,
    distinct_modes,
    is_same,
    value_at,
)
from amortis.guide import SiteLayout

_UNSEEN, _LEAST_SHARE = 10.0, 0.01
"""Nats by which the density at a mode has to exceed what q says, and mass that is worth a word."""

_MOST_GLOBALS = 100


@dataclasses.dataclass(frozen=True)
class MissedMode:
    """A mode of the posterior where q has next to no mass.

    No draw of q lands there, so that neither k-hat nor any weighted moment can know of it.

    Attributes:
        share: of the posterior's mass, by the Laplace approximation beside q's ELBO.
        at: its place, by number of the constrained globals.
    """

    share: float
    at: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return {"share": self.share, "at": dict(self.at)}

    def __str__(self) -> str:
        shown = ", ".join(f"{name} = {value:.3g}" for name, value in list(self.at.items())[:3])
        more = ", …" if len(self.at) > 3 else ""
        percent = min(100.0 * self.share, 99.0)
        return f"a mode with about {percent:.2g} % of the mass at {shown}{more}"


def missed_modes(fitted: Fit, elbo: float, *, key: RandomKey) -> tuple[MissedMode, ...]:
    r"""Climb from several points, and see which of the modes found there q does not know.

    The points are those of a fit's own start, and draws of the prior. A mode $\hat u$ is missed
    where $\log p(\hat u, x) - \log q(\hat u)$ exceeds the ELBO, which is its mean under q, by more
    than ten nats, the normal around it has a hundredth of the mass, and climbs from where q stands
    lead elsewhere: a factor that is too narrow has not missed the mode that it stands in. Modes
    that no climb leads to are not found: an empty answer proves nothing.

    Args:
        fitted: a fit of globals alone, with a density.
        elbo: its ELBO, in nats, total.
        key: random key of the points that are climbed from.

    Returns:
        Those that q misses, from the one with the most mass on; none where rows have latents, of
        point estimates, or of more than 100 globals.
    """
    guide = fitted.guide
    dimension = guide.theta.dimension
    if fitted.model.locals_ or fitted.held or not guide.global_family.is_density:
        return ()
    if not 0 < dimension <= _MOST_GLOBALS or not np.isfinite(elbo):
        return ()
    log_joint = LogJoint(fitted.model, guide.theta)
    raw = jnp.asarray(fitted.variational["globals"])

    def excess(point: Float[Array, " d"]) -> float:
        log_q = guide.global_family.log_density(raw, point)
        return float(value_at(log_joint, point)) - float(log_q) - elbo

    ends = climbed(log_joint, dimension, key, widely=True)
    # Hessians are taken only where a climb has ended out of q's sight.
    unseen = [e.point for e in ends if np.isfinite(e.value) and excess(e.point) > _UNSEEN]
    modes = distinct_modes(log_joint, unseen)
    if not modes:
        return ()
    own = distinct_modes(
        log_joint, [e.point for e in climbed_from(log_joint, _places(guide.global_family, raw))]
    )
    total = np.logaddexp.reduce([elbo, *(mode.log_mass for mode in modes)])
    return tuple(
        MissedMode(share, _constrained(fitted, mode.point))
        for mode in modes
        if (share := float(np.exp(mode.log_mass - total))) > _LEAST_SHARE
        and excess(jnp.asarray(mode.point, raw.dtype)) > _UNSEEN
        and not any(is_same(mode, known) for known in own)
    )


def _places(family: AbstractFamily, raw: Float[Array, " raw"]) -> Float[np.ndarray, "places d"]:
    """Where q stands: the means of its components."""
    if isinstance(family, Mixture):
        return np.asarray(family.component_means(raw))
    return np.asarray(family.moments(raw)[0])[None]


def _constrained(fitted: Fit, point: Float[np.ndarray, " d"]) -> dict[str, float]:
    """A vector of unconstrained globals as the user knows them, number by number."""
    model, layout = fitted.model, fitted.guide.theta
    theta = layout.split(jnp.asarray(point, jnp.result_type(float)))
    values = model.constrain(theta, model.zeros(model.size))
    found = SiteLayout({name: np.shape(values[name]) for name in layout.shapes})
    every = np.asarray(found.join({name: values[name] for name in layout.shapes}), np.float64)
    return dict(zip(found.names, every.tolist(), strict=True))
