"""Whether what the seeds gave agrees with what was printed."""

import dataclasses
import enum
import math
from collections.abc import Sequence

from amortis.experiments.settings import Expected

TOLERANCE = 1e-3
"""Nats per datum, the tolerance at which a fit with defaults ends."""


class Agreement(enum.Enum):
    """How a result stands to its reference."""

    BETTER = "better"
    AGREES = "agrees"
    DIFFERS = "differs"
    NONE = "–"


def agreement(
    expected: Expected | None,
    losses: Sequence[float],
    *,
    succeeded: float = 1.0,
    lowest: float | None = None,
) -> Agreement:
    """Whether losses agree with printed ones: best and median, within the printed seeds' spread.

    The spread is the printed distance of median, or else of the worst, from the best, and what the
    printed value was rounded to; that of our own seeds does not excuse them. Runs that failed count
    as infinitely bad. Fewer successes than printed, and losses below what is possible, differ.

    Args:
        expected: the reference.
        losses: by seed, NaN for failed runs; nats, total.
        succeeded: share of the seeds within 1 % of the target.
        lowest: the lowest loss that is possible, if it is known.
    """
    if expected is None or math.isnan(expected.best) or not losses:
        return Agreement.NONE
    ordered = [math.inf if math.isnan(loss) else loss for loss in losses]
    best, median = min(ordered), median_of(ordered)
    if lowest is not None and best < lowest - expected.rounding:
        return Agreement.DIFFERS
    if not math.isnan(expected.succeeded) and succeeded < expected.succeeded:
        return Agreement.DIFFERS
    # Where only the best was printed, the median is held against it within the spread.
    middle = next(v for v in (expected.median, expected.worst, expected.best) if not math.isnan(v))
    spread = middle - expected.best + expected.rounding
    off = best - expected.best, median - max(middle, expected.best + expected.rounding)
    if off[0] > spread or off[1] > (0.0 if math.isnan(expected.median) else spread):
        return Agreement.DIFFERS
    against = [off[0]] + ([] if math.isnan(expected.median) else [median - expected.median])
    higher = max(off[0], median - middle) > expected.rounding
    lower = min(against) < -expected.rounding and not higher
    return Agreement.BETTER if lower else Agreement.AGREES


def with_tolerance(
    expected: Expected | None, losses: Sequence[float], rows: int, *, succeeded: float = 1.0
) -> Expected | None:
    """The reference with a reason, where the median is above its best within a fit's tolerance.

    Args:
        expected: the reference.
        losses: by seed, NaN for failed runs; nats, total.
        rows: number of data.
        succeeded: share of the seeds within 1 % of the target; no reason is given where it is less
            than printed.
    """
    if expected is None or expected.reason or succeeded < expected.succeeded:
        return expected
    ordered = [math.inf if math.isnan(loss) else loss for loss in losses]
    above = (median_of(ordered) - expected.best) / rows
    if not 0.0 < above < TOLERANCE:
        return expected
    reason = f"{above:.1g} nats per datum above, within the tolerance of a fit, {TOLERANCE:g}"
    return dataclasses.replace(expected, reason=reason)


def median_of(values: Sequence[float]) -> float:
    """The median, counting what never arrives as infinity."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    low, high = ordered[middle - 1 : middle + 1]
    return math.inf if math.isinf(high) else 0.5 * (low + high)
