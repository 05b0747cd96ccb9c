"""Modes of a posterior without rows that q gives no mass."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._types import RandomKey
from amortis.fitting import Fit, LogJoint, climbed, distinct_modes, value_at

_UNSEEN, _LEAST_SHARE = 10.0, 0.01
"""Nats by which the density at a mode has to exceed what q says, and mass that is worth a word."""

_MOST_GLOBALS = 100


@dataclasses.dataclass(frozen=True)
class MissedMode:
    """A mode of the posterior where q has next to no mass.

    No draw of q lands there, so that neither k-hat nor any weighted moment can know of it.

    Attributes:
        share: of the posterior's mass, by the Laplace approximation beside q's ELBO.
        at: its place by unconstrained coordinate of the globals.
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

    A mode $\hat u$ is missed where $\log p(\hat u, x) - \log q(\hat u)$ exceeds the ELBO, which is
    its mean under q, by more than ten nats, the normal around it has a hundredth of the mass, and
    q's mean lies outside of that normal: a factor that is too narrow has not missed the mode that
    it stands in. Modes that no climb leads to are not found: an empty answer proves nothing.

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

    ends = [end.point for end in climbed(log_joint, dimension, key) if np.isfinite(end.value)]
    # Hessians are taken only where a climb has ended out of q's sight.
    unseen = [point for point in ends if excess(point) > _UNSEEN]
    modes = distinct_modes(log_joint, unseen)
    mean = np.asarray(guide.global_family.moments(raw)[0], np.float64)
    total = np.logaddexp.reduce([elbo, *(mode.log_mass for mode in modes)])
    shares = [float(np.exp(mode.log_mass - total)) for mode in modes]
    return tuple(
        MissedMode(share, dict(zip(guide.theta.names, mode.point.tolist(), strict=True)))
        for mode, share in zip(modes, shares, strict=True)
        if share > _LEAST_SHARE
        and excess(jnp.asarray(mode.point, raw.dtype)) > _UNSEEN
        and np.linalg.norm(np.linalg.solve(mode.root, mean - mode.point)) > _radius(dimension)
    )


def _radius(dimension: int) -> float:
    """Distance in sds beyond which a standard normal has next to nothing."""
    return dimension**0.5 + 3.0
