"""Sds of the globals under q, beside those that linear response gives them."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from amortis._errors import NotAnOptimumError
from amortis.fitting import Fit, unconstrained_covariance

_UNDERSTATED = 1.2
"""Ratio of the two sds from which q counts as too narrow."""

_MOST_GLOBALS, _MOST_NUMBERS = 100, 20_000_000
"""Globals, and rows times dimensions times draws, up to which the Hessian is worth its time."""


@dataclasses.dataclass(frozen=True)
class Spread:
    r"""How uncertain the globals are: what q says, and what its own optimum says of the posterior.

    A factor that leaves dependence out, between globals or between globals and locals, is too
    narrow, while its means may be right. Linear response tells by how much, to first order.

    Attributes:
        names: of the unconstrained coordinates of the globals, such as `tau` or `b[2]`.
        sds: under q.
        responding: by linear response; see `Fit.covariance`.
    """

    names: tuple[str, ...]
    sds: Float[np.ndarray, " d"]
    responding: Float[np.ndarray, " d"]

    @property
    def ratios(self) -> Float[np.ndarray, " d"]:
        """Sd by linear response divided by q's own."""
        return self.responding / self.sds

    @property
    def understated(self) -> bool:
        """Whether q is too narrow for some coordinate by more than a fifth."""
        return bool((self.ratios > _UNDERSTATED).any())

    @property
    def notes(self) -> list[str]:
        """Sentences on the coordinates that q is most wrong about; none if it is not."""
        order = [int(j) for j in np.argsort(-self.ratios) if self.ratios[j] > _UNDERSTATED]
        if not order:
            return []
        listed = ", ".join(
            f"{self.names[j]} (sd {self.sds[j]:.3g}, by linear response {self.responding[j]:.3g})"
            for j in order[:3]
        )
        more = f" and {len(order) - 3} more" if len(order) > 3 else ""
        return [f"q understates how uncertain the globals are: {listed}{more}"]

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return {
            "names": list(self.names),
            "sds": self.sds.tolist(),
            "responding": self.responding.tolist(),
        }


def spread_of(fitted: Fit) -> Spread | None:
    """Compare the sds of the globals with those by linear response.

    Args:
        fitted: a fit.

    Returns:
        The comparison; None where there is nothing to compare, as of points, of globals that come
        from other data, or where the fit is at no optimum or the model too large.
    """
    guide, model = fitted.guide, fitted.model
    globals_ = guide.theta.dimension
    numbers = model.size * max(guide.z.dimension, 1) * fitted.fixed_draws
    if not guide.global_family.is_density or fitted.held or not 0 < globals_ <= _MOST_GLOBALS:
        return None
    if numbers > _MOST_NUMBERS or not guide.global_family.is_identified:
        return None
    try:
        covariance = unconstrained_covariance(fitted)
    except NotAnOptimumError:
        return None
    names = tuple(
        f"{site}[{', '.join(map(str, at))}]" if at else site
        for site, shape in guide.theta.shapes.items()
        for at in np.ndindex(*shape)
    )
    sds = np.asarray(fitted.global_moments()[1], np.float64)
    return Spread(names, sds, np.sqrt(np.diagonal(covariance)))
