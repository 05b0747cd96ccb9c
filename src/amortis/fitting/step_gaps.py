"""The amortization gap against the number of steps that an iterated function takes."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from amortis._types import RandomKey
from amortis.fitting.cut_slopes import CutSlopes, climb_of, last_of, numbers_per_row
from amortis.fitting.estimate import Estimate
from amortis.fitting.gap import Gap, gap_noise
from amortis.fitting.paired import mean_and_se, paired_gains
from amortis.fitting.record import Fit
from amortis.fitting.row_optima import OPTIMISED_DRAWS, row_blocks
from amortis.inference_functions import AbstractIterated

_MOST = 7


@dataclasses.dataclass(frozen=True)
class StepGaps:
    """How far the rows' factors are from their own optima after so many steps.

    Attributes:
        counts: numbers of steps T', increasing, the fit's own T and 2T among them.
        gaps: what the rows' own optima would gain over the factors after T' steps, in nats per
            datum; optima are those that are nearest to the factors after T steps.
        own: T.
        cut: rows whose slopes were cut within T steps.
    """

    counts: tuple[int, ...]
    gaps: tuple[Estimate, ...]
    own: int
    cut: CutSlopes

    @property
    def more_steps_gain(self) -> float:
        """What 2T steps gain over T beyond two standard errors, in nats per datum."""
        now, then = (self.gaps[self.counts.index(n)] for n in (self.own, 2 * self.own))
        return now.mean - then.mean - 2.0 * math.hypot(now.se, then.se)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON; what is not finite is None."""
        plain = lambda value: value if math.isfinite(value) else None  # noqa: E731
        return {
            "own": self.own,
            "counts": list(self.counts),
            "gaps": [{"mean": plain(g.mean), "se": plain(g.se), "unit": g.unit} for g in self.gaps],
            "cut_rows": self.cut.rows.tolist(),
            "rows_ever_cut": self.cut.any_step,
        }

    def __str__(self) -> str:
        each = ", ".join(
            f"{gap.mean:.2g} ± {gap.se:.1g} after {count}"
            for count, gap in zip(self.counts, self.gaps, strict=True)
        )
        return f"gap per datum {each}; the fit takes {self.own}"


def step_gaps(fitted: Fit, gap: Gap, *, key: RandomKey, draws: int) -> StepGaps | None:
    r"""Measure the gap after fewer and after twice as many steps, on draws that all share.

    $\frac1N\sum_n \mathcal{L}_n(\nu_n^*) - \mathcal{L}_n(\lambda_{n,T'})$ with $\nu_n^*$ the
    optima that the gap after T steps was measured against. One climb of 2T steps gives all.

    Args:
        fitted: a fit.
        gap: its amortization gap, with the rows' optima.
        key: random key, that of the gap for the same draws.
        draws: fresh draws, in antithetic pairs.

    Returns:
        The gaps; None for functions that take no steps.
    """
    function = fitted.guide.inference
    if not isinstance(function, AbstractIterated):
        return None
    model, steps = fitted.model, function.steps
    longer = dataclasses.replace(
        fitted.guide, inference=dataclasses.replace(function, steps=2 * steps)
    )
    guide, pairs = fitted.guide.factors(), (draws + 1) // 2
    counts = _counts(steps)
    totals = np.zeros((len(counts), 2 * pairs))
    cut, done = np.zeros((steps, model.size), bool), np.zeros(model.size, bool)
    held = OPTIMISED_DRAWS * max(guide.z.dimension, 1)
    for index in row_blocks(model, max(numbers_per_row(longer, 2 * steps), held)):
        place = np.arange(model.size) if index is None else np.asarray(index)
        fresh = ~done[place]  # the last block may overlap
        done[place] = True
        climb = climb_of(longer, fitted.variational, index)
        cut[:, place] = np.asarray(climb.cut)[:steps]
        noise = gap_noise(guide, key, pairs, place)
        parts = (model, guide, {"globals": fitted.variational["globals"]})
        best = jnp.asarray(gap.optimal[place], climb.raw.dtype)
        for i, count in enumerate(counts):
            before = jnp.asarray(last_of(climb, count))
            gains = np.asarray(paired_gains(*parts, before, best, noise, index), np.float64)
            totals[i] += gains[:, fresh].sum(axis=1)
    mean, se = mean_and_se(totals.T / model.size)
    gaps = [Estimate(float(m), float(s), "nats per datum") for m, s in zip(mean, se, strict=True)]
    return StepGaps(counts, tuple(gaps), steps, CutSlopes.of(cut))


def _counts(steps: int) -> tuple[int, ...]:
    """At most seven numbers of steps up to T, evenly apart in their logarithms, and 2T."""
    upto = np.round(np.geomspace(1.0, steps, _MOST)).astype(int)
    return (*(int(n) for n in np.unique(upto)), 2 * steps)
