"""Calibration by simulation as pictures: how far ranks are from uniform, site by site."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from amortis.report.markup import shown_name
from amortis.report.panel import Band, Hue, Level, Line, Panel, axis
from amortis.report.ticks import number


@runtime_checkable
class SiteRanks(Protocol):
    """What simulations say about one site."""

    @property
    def points(self) -> np.ndarray:
        """Where the distribution of the ranks was looked at, in [0, 1]."""
        ...

    @property
    def difference(self) -> np.ndarray:
        """The ranks' distribution function less that of a uniform variable."""
        ...

    @property
    def lower(self) -> np.ndarray:
        """Lower edge of the simultaneous 95 % band."""
        ...

    @property
    def upper(self) -> np.ndarray:
        """Its upper edge."""
        ...

    @property
    def inside(self) -> bool:
        """Whether the difference stays inside of the band."""
        ...

    @property
    def coverage(self) -> tuple[tuple[float, float], ...]:
        """Nominal and measured coverage of central intervals, as shares."""
        ...


@runtime_checkable
class CalibrationLike(Protocol):
    """What simulations say about all sites."""

    @property
    def sites(self) -> Mapping[str, SiteRanks]:
        """By site."""
        ...

    @property
    def simulations(self) -> int:
        """Number of data sets, or of rows, that were simulated."""
        ...

    @property
    def draws(self) -> int:
        """Draws of q that each true value was ranked among."""
        ...


def calibration_panel(name: str, site: SiteRanks) -> Panel:
    """Draw the ranks of one site: their distribution function less that of a uniform variable.

    Args:
        name: the site.
        site: what was found.

    Returns:
        The panel.

    References:
        Säilynoja, Bürkner & Vehtari, *Graphical test for discrete uniformity* (2022).
    """
    points, difference, lower, upper = (
        np.asarray(v, np.float64) for v in (site.points, site.difference, site.lower, site.upper)
    )
    shown = shown_name(name)
    words = tuple(
        f"share of ranks up to {number(float(x), 3)}: {number(float(x + d), 3)}"
        for x, d in zip(points, difference, strict=True)
    )
    verdict = "stays inside of" if site.inside else "leaves"
    return Panel(
        title=f"{shown}: {'inside' if site.inside else 'outside'}",
        x=axis("rank of the true value (share of draws)", np.array([0.0, 1.0])),
        y=axis("distribution less uniform (share)", difference, lower, upper),
        bands=(Band(points, lower, upper, "95 % band for all points at once"),),
        levels=(Level(0.0),),
        lines=(
            Line(
                points,
                difference,
                "measured",
                Hue.FIRST if site.inside else Hue.BAD,
                words=words,
            ),
        ),
        summary=f"Distribution of the ranks of {shown} less that of a uniform variable; it "
        f"{verdict} the 95 % band.",
    )
