"""Which globals are point estimates because the model gives them no prior."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis.families import AbstractFamily, Conditional, DiagonalNormal, PartlyPoint, Point
from amortis.guide.layout import SiteLayout


def with_points(
    global_family: AbstractFamily,
    local_family: AbstractFamily,
    theta: SiteLayout,
    starts: Mapping[str, Array],
) -> AbstractFamily:
    """The globals' family with point estimates of those without a prior.

    Args:
        global_family: of the globals that have one; what this function has returned before stays.
        local_family: of one row's locals.
        theta: the globals' layout.
        starts: those without a prior, by site.

    Raises:
        ArgumentError: a family that ties globals to each other, or locals to them.
    """
    if not starts:
        return global_family
    first = next(iter(starts))
    if isinstance(local_family, Conditional):
        raise ArgumentError(
            f"locals_ is Conditional(...), but the model has parameters without a prior, such as "
            f"{first!r}; expected a factor that does not hang on them: use DiagonalNormal()"
        )
    if isinstance(global_family, Point | PartlyPoint):
        return global_family
    if not isinstance(global_family, DiagonalNormal):
        raise ArgumentError(
            f"globals_ is {type(global_family).__name__}(...), but the model has parameters "
            f"without a prior, such as {first!r}; expected DiagonalNormal() or Point() beside "
            f"them: leave globals_ out, or give them a prior"
        )
    if set(starts) == set(theta.shapes):
        return Point()
    return PartlyPoint(global_family, theta.ranges(tuple(starts)))


def center_of(theta: SiteLayout, starts: Mapping[str, Array]) -> Float[np.ndarray, " d"] | None:
    """Unconstrained globals with the starts of those without a prior, and NaN for the others.

    Args:
        theta: the globals' layout.
        starts: where the search for those without a prior starts, by site.

    Returns:
        The vector; None where all have a prior.
    """
    if not starts:
        return None
    parts = [
        np.ravel(np.asarray(starts[name]))
        if name in starts
        else np.full(theta.size_of(name), np.nan, np.float32)
        for name in theta.shapes
    ]
    return np.concatenate(parts)
