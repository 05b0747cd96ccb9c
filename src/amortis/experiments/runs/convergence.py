"""When a path has converged: the rule of the authors' code, and ours."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

TOLERANCES = (0.5, 0.1, 0.01)
"""Relative distances from the target for which the authors' code counts iterations."""

GOAL = 0.01
"""Nats per datum from the best known loss at which our rule counts a fit as done."""

_LATE = 10
"""The target is the mean over the last tenth of a path."""


def target_of(losses: Sequence[float]) -> float:
    """The late mean of a path: over its last tenth, at least one block; nats, total."""
    kept = losses[-max(len(losses) // _LATE, 1) :]
    return float(np.mean(kept)) if kept else math.nan


def code_rule(
    iterations: Sequence[int], losses: Sequence[float], target: float, tolerance: float
) -> float:
    r"""Iterations to a relative distance from a target, as the authors' code counts them.

    The first multiple i of 10 with $|\overline{loss}_{[i-10, i+10)} - t| \le \epsilon|t|$. Blocks
    are 10 iterations long, so the mean is that of two neighbouring entries, and i the end of the
    former. Paths of other blocks (our optimisers') are read entry by entry.

    Args:
        iterations: steps at the end of each block.
        losses: mean loss of each block, in nats, total.
        target: t.
        tolerance: ε.

    Returns:
        The iterations; infinity if the path never comes so near.
    """
    means = [0.5 * (a + b) for a, b in pairwise(losses)] if _in_tens(iterations) else list(losses)
    for iteration, mean in zip(iterations, means, strict=False):
        if abs(mean - target) <= tolerance * abs(target):
            return float(iteration)
    return math.inf


def reached_for_good(
    times: Sequence[float] | Sequence[int],
    losses: Sequence[float],
    best: float,
    slack: float,
    window: int = 1,
) -> float:
    """Time from which on a path stays within a slack of the best known loss.

    Args:
        times: seconds or iterations at the end of each block.
        losses: of each block, in nats, total.
        best: lowest loss known, in nats, total.
        slack: in nats, total.
        window: entries that are averaged, backwards, where losses are noisy.

    Returns:
        The first such time; infinity if there is none.
    """
    if not losses:
        return math.inf
    values = np.asarray(losses, np.float64)
    if window > 1:
        width = min(window, len(values))
        values = np.convolve(values, np.full(width, 1.0 / width), mode="valid")
        times = times[width - 1 :]
    outside = np.flatnonzero(~(values <= best + slack))
    first = 0 if not outside.size else int(outside[-1]) + 1
    return float(times[first]) if first < len(values) else math.inf


def _in_tens(iterations: Sequence[int]) -> bool:
    return len(iterations) > 1 and all(i == 10 * (j + 1) for j, i in enumerate(iterations))
