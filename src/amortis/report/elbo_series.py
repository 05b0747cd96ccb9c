"""The ELBO of a fit against time, beside that of another fit of the same model."""

import dataclasses

import numpy as np

from amortis.fitting import Fit
from amortis.report.panel import Axis, Hue, Level, Line, Panel, axis
from amortis.report.plots import elbo_limits
from amortis.report.ticks import number

_MOST_POINTS = 300
_WIDE_TIMES = 12.0


def function_label(fitted: Fit) -> str:
    """What a fit is called beside another: F-VI, or the name of its inference function."""
    name = type(fitted.guide.inference).__name__
    return {"Table": "F-VI (a factor per row)", "Constant": "one factor for all"}.get(name, name)


def last_objective(fitted: Fit) -> float:
    """The last finite ELBO of a fit's history, in nats, total; NaN if there is none."""
    objective = np.asarray(fitted.history.objective, np.float64)
    finite = objective[np.isfinite(objective)]
    return float(finite[-1]) if finite.size else float("nan")


def elbo_panel(fitted: Fit, reference: Fit | None = None) -> Panel | None:
    """Draw the ELBO against seconds, with the level that a reference reached.

    Args:
        fitted: the fit.
        reference: another fit of the same model and data, such as F-VI.

    Returns:
        The panel; None where the fit's history has no finite value.
    """
    lines = [_line(fitted, function_label(fitted), Hue.FIRST)]
    if reference is not None:
        label = function_label(reference)
        if label == function_label(fitted):
            label = f"{label}, the reference"
        lines.append(_line(reference, label, Hue.SECOND))
    kept = [line for line in lines if line.x.size]
    if not lines[0].x.size:
        return None
    level = None if reference is None else last_objective(reference)
    level = level if level is not None and np.isfinite(level) else None
    low, high = elbo_limits([line.y for line in kept], level)
    ends = [float(line.x[-1]) for line in kept]
    wide = max(ends) > _WIDE_TIMES * max(min(ends), 1e-9)
    seconds = axis("seconds since the start, compilation included", *(k.x for k in kept), log=wide)
    if not wide:
        seconds = dataclasses.replace(seconds, low=0.0)
    levels = () if level is None else (Level(level, f"end of {lines[1].label}", Hue.SECOND),)
    note = "Values below the frame, from the steep ascent at the start, are not drawn."
    hidden = any(bool((line.y < low).any()) for line in kept)
    return Panel(
        title="ELBO against time",
        x=seconds,
        y=Axis("ELBO (nats, total)", low, high),
        levels=levels,
        lines=tuple(kept),
        summary=f"ELBO in nats against seconds; {kept[0].label} ends at "
        f"{number(float(kept[0].y[-1]), 7)} nats after {number(ends[0], 3)} seconds.",
        note=note if hidden else "",
    )


def _line(fitted: Fit, label: str, hue: Hue) -> Line:
    seconds = np.asarray(fitted.history.seconds, np.float64)
    objective = np.asarray(fitted.history.objective, np.float64)
    kept = np.flatnonzero(np.isfinite(objective))
    if len(kept) > _MOST_POINTS:
        kept = kept[np.unique(np.linspace(0, len(kept) - 1, _MOST_POINTS).astype(int))]
    words = tuple(
        f"{label} after {number(float(s), 3)} s: {number(float(v), 8)} nats"
        for s, v in zip(seconds[kept], objective[kept], strict=True)
    )
    return Line(seconds[kept], objective[kept], label, hue, words=words)
