"""`Calibration`: what `calibrate` found, as a frozen record that prints as an answer."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

LEVEL = 0.95
"""Probability of calibrated ranks to stay within the bands of all dimensions, at least."""


@dataclasses.dataclass(frozen=True)
class SiteCalibration:
    """Ranks of one scalar dimension of a local site.

    Attributes:
        ranks: number of draws of q below the simulated value, in [0, draws], shape (M,).
        points: where distribution functions are compared, shape (K,), in [0, 1].
        difference: share of ranks up to each point less that of uniform ranks, shape (K,).
        lower: the band of calibrated ranks for `difference`, shape (K,); negative.
        upper: its upper end; positive.
        inside: whether `difference` stays within the band.
        coverage: (nominal, measured) share of simulated values in central intervals of q.
        symmetry: p-value of symmetric ranks; a biased q has a small one.
        bias: what that says of the place of q, in words.
    """

    ranks: Int[np.ndarray, " simulations"]
    points: Float[np.ndarray, " points"]
    difference: Float[np.ndarray, " points"]
    lower: Float[np.ndarray, " points"]
    upper: Float[np.ndarray, " points"]
    inside: bool
    coverage: tuple[tuple[float, float], ...]
    symmetry: float = math.nan
    bias: str = "not tested"

    @property
    def coverage_ses(self) -> tuple[float, ...]:
        """Standard errors of the measured shares of a calibrated q, binomial."""
        size = max(len(self.ranks), 1)
        return tuple(math.sqrt(nominal * (1.0 - nominal) / size) for nominal, _ in self.coverage)

    @property
    def finding(self) -> str:
        """The answer in words: calibrated, or how not, by the shape of `difference`.

        Its part that is even about 1/2 comes from a q in the wrong place, its odd part from one of
        the wrong width. Both are named that reach half of the larger one.
        """
        if self.inside:
            return "calibrated"
        mirrored = np.interp(1.0 - self.points, self.points, self.difference)
        even, odd = 0.5 * (self.difference + mirrored), 0.5 * (self.difference - mirrored)
        largest = max(np.abs(even).max(), np.abs(odd).max())
        words: list[str] = []
        if 2.0 * np.abs(odd).max() >= largest:
            low = odd[self.points < 0.5].sum()
            words.append("too narrow" if low > 0 else "too wide")
        if 2.0 * np.abs(even).max() >= largest:
            words.append("biased high" if even.sum() > 0 else "biased low")
        beyond = max((self.difference - self.upper).max(), (self.lower - self.difference).max())
        slightly = "slightly " if beyond < 0.25 * self.upper.max() else ""
        return slightly + " and ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        pairs = zip(self.coverage, self.coverage_ses, strict=True)
        return {
            "finding": self.finding,
            "inside": self.inside,
            "bias": self.bias,
            "symmetry": self.symmetry if math.isfinite(self.symmetry) else None,
            "coverage": [{"nominal": n, "measured": m, "se": se} for (n, m), se in pairs],
            "ranks": self.ranks.tolist(),
            "points": self.points.tolist(),
            "difference": self.difference.tolist(),
            "lower": self.lower.tolist(),
            "upper": self.upper.tolist(),
        }


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Whether q(z) of simulated data holds the values that the data were simulated from.

    Attributes:
        sites: by scalar dimension of the unconstrained local sites, named `z` or `z[0]`.
        simulations: number of units that were simulated, each with globals of its own.
        draws: draws of q that each simulated value was ranked among.
    """

    sites: Mapping[str, SiteCalibration]
    simulations: int
    draws: int

    @property
    def calibrated(self) -> bool:
        """Whether all dimensions stay within their bands."""
        return all(site.inside for site in self.sites.values())

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return {
            "simulations": self.simulations,
            "draws": self.draws,
            "calibrated": self.calibrated,
            "sites": {name: site.to_dict() for name, site in self.sites.items()},
        }

    def __str__(self) -> str:
        outside = [site for site in self.sites.values() if not site.inside]
        answer = "NOT CALIBRATED" if outside else "CALIBRATED"
        lines = [
            f"{answer}: the ranks of {len(self.sites) - len(outside)} of {len(self.sites)} "
            f"dimensions stay within their bands."
        ]
        width = max(map(len, self.sites), default=0)
        for name, site in self.sites.items():
            lines.append(f"  {name:{width}}  {site.finding}; {_coverage(site)}; bias: {site.bias}")
        chance = f"with probability {100 * LEVEL:.0f} % calibrated ranks stay within all bands"
        return "\n".join(
            [*lines, f"  {self.simulations} units simulated, {self.draws} draws each; {chance}"]
        )


def _coverage(site: SiteCalibration) -> str:
    nominal = "/".join(f"{100 * n:.0f}" for n, _ in site.coverage)
    measured = "/".join(f"{100 * m:.1f}" for _, m in site.coverage)
    worst = 100 * max(site.coverage_ses, default=math.nan)
    return f"intervals of {nominal} % hold {measured} % (± {worst:.1f})"
