"""Which learning rate to try next."""

from collections.abc import Mapping

import numpy as np

_RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
_FIRST = 3
"""In the middle: a problem that takes the highest rate, and one that needs a low one, are found
after three trials, and a rate at which everything blows up is hardly ever tried."""


def next_rate(tried: Mapping[float, float]) -> float | None:
    """The next rung of the ladder: up for as long as that is better, else down.

    Args:
        tried: losses by rate, so far; infinite where nothing was finite. The rates are neighbours.

    Returns:
        The rate to try; None where the best one is known.
    """
    if not tried:
        return _RATES[_FIRST]
    rungs = sorted(_RATES.index(rate) for rate in tried)
    best = min(rungs, key=lambda rung: tried[_RATES[rung]])
    if best == rungs[-1] and best + 1 < len(_RATES) and np.isfinite(tried[_RATES[best]]):
        return _RATES[best + 1]
    if best == rungs[0] and best > 0:
        return _RATES[best - 1]
    return None
