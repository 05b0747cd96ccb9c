"""The gap of an iterated function against the number of steps that it takes."""

import numpy as np

from amortis.diagnostics import Diagnosis
from amortis.report.panel import Band, Hue, Level, Line, Panel, axis
from amortis.report.ticks import number, with_error

_DECADES = 1e-6
"""Ratio of the smallest to the largest gap below which gaps are shown at the lower edge."""


def steps_panel(diagnosis: Diagnosis) -> Panel | None:
    """Draw the gap per row after so many steps, on two logarithmic axes.

    Args:
        diagnosis: of a fit.

    Returns:
        The panel; None for functions that take no steps, or where no gap is a positive number.
    """
    steps = diagnosis.steps
    if steps is None:
        return None
    counts = np.array(steps.counts, np.float64)
    means, ses = (np.array([getattr(gap, part) for gap in steps.gaps]) for part in ("mean", "se"))
    positive = means[np.isfinite(means) & (means > 0.0)]
    if not positive.size:
        return None
    floor = max(0.5 * float(positive.min()), _DECADES * float(positive.max()), 1e-12)
    kept = np.isfinite(means)
    low, mid, high = (
        np.maximum(edge, floor)[kept] for edge in (means - 2.0 * ses, means, means + 2.0 * ses)
    )
    words = tuple(
        f"{count} steps: {' ± '.join(with_error(gap.mean, gap.se))} nats per row"
        for count, gap in zip(steps.counts, steps.gaps, strict=True)
        if np.isfinite(gap.mean)
    )
    below = int(np.sum(means[kept] < floor))
    note = f"{below} gaps below {number(floor, 2)} nats are at the lower edge. " if below else ""
    if steps.cut.any_step:
        note += f"{str(steps.cut)[0].upper()}{str(steps.cut)[1:]}."
    tolerance = Level(diagnosis.tolerance, f"tolerance {number(diagnosis.tolerance)} nats")
    heights = axis("gap (nats per row)", low, high, np.array([diagnosis.tolerance]), log=True)
    ends = np.array([heights.low, heights.high])
    own = Line(np.full(2, float(steps.own)), ends, "steps of the fit", Hue.SECOND, dashed=True)
    return Panel(
        title="Gap against number of steps",
        x=axis("steps", counts, log=True),
        y=heights,
        bands=(Band(counts[kept], low, high, "two standard errors"),),
        levels=(tolerance,),
        lines=(own, Line(counts[kept], mid, "mean of all rows", Hue.FIRST, words=words)),
        summary=f"Gap in nats per row after {steps.counts[0]} to {steps.counts[-1]} steps; the fit "
        f"takes {steps.own}, where it is {number(float(means[steps.counts.index(steps.own)]), 3)}.",
        note=note.strip(),
    )
