"""Which learning rate to try next, and which of those tried to take."""

from collections.abc import Mapping

import numpy as np

_RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
_FIRST = 3
"""In the middle: a problem that takes the highest rate, and one that needs a low one, are found
after three trials, and a rate at which everything blows up is hardly ever tried."""

_ABOUT_EQUAL = 1 / 3
"""Of what the best trial gained between its blocks. A rate is lowered later but never raised, and a
high one, which begins with a detour, gains more after a short trial than in it."""

Tried = Mapping[float, tuple[float, float]]
"""Losses of the first and of the last block of each trial, by rate; infinite if none is finite."""


def best_rate(tried: Tried) -> float:
    """The highest rate that is about as good as the best.

    Args:
        tried: at least one trial.

    Returns:
        One of the rates.
    """
    lowest = min(tried, key=lambda rate: tried[rate][1])
    first, last = tried[lowest]
    if not np.isfinite(last):
        return min(tried)
    slack = _ABOUT_EQUAL * max(first - last, 0.0) if np.isfinite(first) else 0.0
    return max(rate for rate in tried if tried[rate][1] <= last + slack)


def next_rate(tried: Tried) -> float | None:
    """The next rung of the ladder: up for as long as that is better, else down.

    Args:
        tried: so far; the rates are neighbours.

    Returns:
        The rate to try; None where the best one is known.
    """
    if not tried:
        return _RATES[_FIRST]
    rungs = sorted(_RATES.index(rate) for rate in tried)
    best = _RATES.index(best_rate(tried))
    finite = np.isfinite(tried[_RATES[best]][1])
    if finite and best == rungs[-1] and best + 1 < len(_RATES):
        return _RATES[best + 1]
    if best == rungs[0] and best > 0:
        return _RATES[best - 1]
    return None
