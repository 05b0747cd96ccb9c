"""Slopes that an iterated function did not see as they are, because they exploded."""

import dataclasses

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from amortis._errors import ArgumentError
from amortis._require import require_kind
from amortis._types import Parameters, RowIndex
from amortis.fitting.record import Fit
from amortis.fitting.row_optima import row_blocks
from amortis.guide import Guide
from amortis.inference_functions import AbstractIterated, Climb


@dataclasses.dataclass(frozen=True)
class CutSlopes:
    """How many rows' slopes were cut, or were no numbers, at each step of a function.

    Attributes:
        rows: number of such rows at each step, the first step first.
        any_step: number of rows of which some step's slope was such.
        size: number of rows.
    """

    rows: Int[np.ndarray, " steps"]
    any_step: int
    size: int

    @classmethod
    def of(cls, cut: Bool[np.ndarray, "steps rows"]) -> "CutSlopes":
        """Counted from which rows' slopes were cut at which step."""
        return cls(cut.sum(axis=1), int(cut.any(axis=0).sum()), cut.shape[1])

    def __str__(self) -> str:
        if not self.any_step:
            return f"no slope of {self.size} rows was cut in {len(self.rows)} steps"
        at = np.flatnonzero(self.rows) + 1
        steps = f"step {at[0]}" if len(at) == 1 else f"{len(at)} steps, {at[0]} to {at[-1]}"
        return (
            f"slopes of {self.any_step} of {self.size} rows exploded and were cut, in {steps} of "
            f"{len(self.rows)}, at most {self.rows.max()} rows in one"
        )


def cut_slopes(fitted: Fit) -> CutSlopes:
    """Count the rows whose slopes were cut at 1e6 nats, or were no numbers, step by step.

    The steps are those that lead to the factors of this fit; steps on the way of its optimisation
    are not counted. Of `LBFGSSteps()`, which takes slopes as they are and refuses points without,
    those rows count that have none at their start and cannot move.

    Args:
        fitted: a fit with `Iterative(…)` or `GradientAscent(…)`.

    Returns:
        The counts.

    Raises:
        ArgumentError: a function that takes no steps.
    """
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key, inference=Iterative())")
    function = fitted.guide.inference
    if not isinstance(function, AbstractIterated):
        raise ArgumentError(
            f"cut_slopes got a fit with {type(function).__name__}(...), which takes no steps; "
            f"expected one with amortis.Iterative(...) or amortis.GradientAscent(...)"
        )
    cut = np.zeros((function.steps, fitted.model.size), bool)
    for index in row_blocks(fitted.model, numbers_per_row(fitted.guide, function.steps)):
        place = slice(None) if index is None else np.asarray(index)
        cut[:, place] = np.asarray(climb_of(fitted.guide, fitted.variational, index).cut)
    return CutSlopes.of(cut)


def numbers_per_row(guide: Guide, steps: int) -> int:
    """Numbers that are held for each row while a function climbs so many steps."""
    return max(steps * guide.shape.outputs, 32 * guide.z.dimension, 1)


@eqx.filter_jit
def climb_of(guide: Guide, variational: Parameters, index: RowIndex | None) -> Climb:
    """All steps of some rows."""
    return guide.climb(variational, index)


def last_of(climb: Climb, count: int) -> Float[np.ndarray, "batch raw"]:
    """The iterate after so many steps, counted from the first step and not from the start."""
    begun = climb.raw.shape[0] - climb.cut.shape[0]  # one more where the start is learned too
    return np.asarray(climb.raw[begun + count - 1])
