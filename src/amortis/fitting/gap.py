"""The amortization gap: what a factor of its own would gain for each datum."""

import dataclasses
from collections.abc import Iterator

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from amortis._types import Parameters, RandomKey, RowIndex
from amortis.fitting.estimate import Estimate
from amortis.fitting.held_table import table_at, with_globals_held
from amortis.fitting.paired import antithetic_noise, mean_and_se, paired_gains, seed_of
from amortis.fitting.record import Fit
from amortis.fitting.row_optima import (
    OPTIMISED_DRAWS,
    POLISHED_DRAWS,
    optimal_rows,
    polished_rows,
    polishing_noise,
    row_blocks,
    row_noise,
)
from amortis.guide import Guide, Noise
from amortis.model import LatentModel, by_unit
from amortis.objectives import ClosedFormEntropy, elbo_draws

_GAP = 1  # what noise is for


@dataclasses.dataclass(frozen=True)
class Gap:
    r"""What factors of their own would gain, with $q(\theta)$ held.

    Attributes:
        total: in nats, total, with its standard error.
        rows: for each datum, in nats; NaN where units touch each other.
        row_ses: standard errors of those.
        optimal: raw parameters of the factors found, one row per datum.
        settled: whether the search for each came to rest; if not its gap is a lower bound.
        claimed: what the factors found gain on the draws that they were found on, in nats, total.
            An optimum fits its draws, so that the true gap is between `total` and this, but for
            noise.
    """

    total: Estimate
    rows: Float[np.ndarray, " rows"]
    row_ses: Float[np.ndarray, " rows"]
    optimal: Float[np.ndarray, "rows raw"]
    settled: Bool[np.ndarray, " rows"]
    claimed: float

    def is_below(self, tolerance: float) -> bool:
        """Whether the gap is certified to be below so many nats per datum.

        By two standard errors, and by what the optima claim for themselves; a gap that is negative
        beyond its noise says that the optima are none.
        """
        size, total = len(self.rows), self.total
        surely = total.mean + 2.0 * total.se <= tolerance * size
        return surely and self.claimed <= tolerance * size and not self.is_impossible(tolerance)

    def is_impossible(self, tolerance: float) -> bool:
        """Whether the optima do worse than the function by more than noise and tolerance."""
        return self.total.mean + 4.0 * self.total.se < -0.5 * tolerance * len(self.rows)

    @classmethod
    def none(cls, size: int) -> "Gap":
        """That of a model without locals, where there is nothing to amortize.

        Args:
            size: number of rows.
        """
        unknown = np.full(size, np.nan)
        return cls(
            Estimate(0.0, 0.0), unknown, unknown, np.zeros((size, 0)), np.ones(size, bool), 0.0
        )

    @property
    def per_datum(self) -> Estimate:
        """The total divided by the number of data, in nats per datum."""
        size = len(self.rows)
        return Estimate(self.total.mean / size, self.total.se / size, "nats per datum")


def separated(fitted: Fit) -> LatentModel | None:
    """The fit's model with one term per unit; None where units touch each other.

    Args:
        fitted: any fit.
    """
    if fitted.model.separable:
        return fitted.model
    means, sds = (fitted.guide.z.split(moment) for moment in fitted.local_moments())
    return by_unit(fitted.model, means, sds)


def amortization_gap(fitted: Fit, *, key: RandomKey, draws: int) -> Gap:
    r"""Measure the amortization gap on draws that function and optimum share.

    $\sum_n \max_\nu \mathcal{L}_n(\nu) - \mathcal{L}_n(f_\phi(w_n))$ with $\mathcal{L}_n$ the part
    of the ELBO that datum n has, $q(\theta)$ held. The optimum is found on fixed draws, row by row
    where units do not touch, and for all rows together where they do; what it gains is measured on
    fresh ones.

    Args:
        fitted: a fit.
        key: random key.
        draws: fresh draws, in antithetic pairs.

    Returns:
        The gap.
    """
    model = separated(fitted)
    if model is None:
        return _of_whole(fitted, key, draws)
    size, pairs = model.size, (draws + 1) // 2
    totals = np.zeros(2 * pairs)
    rows, ses, settled = np.zeros(size), np.zeros(size), np.zeros(size, bool)
    optimal = np.zeros((size, fitted.guide.shape.outputs), np.float32)
    guide = fitted.guide.factors()
    many = polishing_noise(guide, max(POLISHED_DRAWS, 16 * draws))
    per_row = (OPTIMISED_DRAWS if many is None else np.size(many.weight)) * guide.z.dimension
    claimed = 0.0
    parts = (model, guide, {"globals": fitted.variational["globals"]})
    for place, fresh, index in blocks_of(model, max(per_row, OPTIMISED_DRAWS)):
        raw = raw_of(fitted.guide, fitted.variational, index)
        found = optimal_rows(*parts, raw, row_noise(guide, key, len(place)), index)
        found = polished_rows(*parts, raw, many, index, found)
        noise = gap_noise(guide, key, pairs, place)
        gains = np.asarray(paired_gains(*parts, raw, found.raw, noise, index), np.float64)
        rows[place], ses[place] = mean_and_se(gains)
        totals += gains[:, fresh].sum(axis=1)
        settled[place] = np.asarray(found.settled)
        optimal[place] = np.asarray(found.raw)
        claimed += float(np.asarray(found.claimed, np.float64)[fresh].sum())
    mean, se = mean_and_se(totals)
    return Gap(Estimate(float(mean), float(se)), rows, ses, optimal, settled, claimed)


def gap_noise(guide: Guide, key: RandomKey, pairs: int, place: Int[np.ndarray, " batch"]) -> Noise:
    """Fresh antithetic draws on which the gap of a block of rows is measured."""
    own = seed_of(key, _GAP, 1 + int(place[0]))
    return antithetic_noise(guide, seed_of(key, _GAP), own, pairs, len(place))


def blocks_of(
    model: LatentModel, per_row: int
) -> Iterator[tuple[np.ndarray, np.ndarray, RowIndex | None]]:
    """Blocks of rows: their places, which of them are new, and the index to take them by.

    Args:
        model: a model with one term per unit.
        per_row: numbers that are held for each row.
    """
    done = np.zeros(model.size, bool)
    # One that is evaluated as a whole has all units in every evaluation.
    blocks = row_blocks(model, per_row) if model.separable else [None]
    for index in blocks:
        place = np.arange(model.size) if index is None else np.asarray(index)
        fresh = ~done[place]  # the last block may overlap
        done[place] = True
        yield place, fresh, index


@eqx.filter_jit
def raw_of(guide: Guide, variational: Parameters, index: RowIndex | None) -> Array:
    """Raw parameters of some rows' factors."""
    return guide.fitted_raw(variational, index)


def _of_whole(fitted: Fit, key: RandomKey, draws: int) -> Gap:
    """The gap in total where units touch each other: all rows are optimised together."""
    table = table_at(fitted)
    best = with_globals_held(table, key)
    pairs = (draws + 1) // 2
    own, shared = seed_of(key, _GAP, 1), seed_of(key, _GAP)
    noise = antithetic_noise(table.guide, shared, own, pairs, table.model.size)
    gains = np.asarray(
        _whole_gains(table.model, table.guide, table.variational, best.variational, noise),
        np.float64,
    )
    mean, se = mean_and_se(gains)
    size = fitted.model.size
    unknown = np.full(size, np.nan)
    optimal = np.asarray(raw_of(best.guide, best.variational, None))
    settled = np.full(size, best.status.name == "CONVERGED")
    # Where units touch, the draws of the search grow until they agree with fresh ones.
    total = Estimate(float(mean), float(se))
    return Gap(total, unknown, unknown, optimal, settled, total.mean)


@eqx.filter_jit
def _whole_gains(
    model: LatentModel, guide: Guide, before: Parameters, after: Parameters, noise: Noise
) -> Float[Array, " draws"]:
    def elbos(parameters: Parameters) -> Float[Array, " draws"]:
        return elbo_draws(model, guide, ClosedFormEntropy(), parameters, noise, None)

    return elbos(after) - elbos(before)
