"""Importance ratios of a fit, and the k-hats and evidence that follow from them."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from amortis import numerics
from amortis._types import RandomKey
from amortis.diagnostics.pareto import EXACT, TRUSTED, k_error, pareto_k
from amortis.diagnostics.tail_draws import TailDraws, tail_draws, tail_k
from amortis.diagnostics.weighted import Weighted, weighted_moments
from amortis.diagnostics.weights import (
    global_log_weights,
    global_values,
    integrated_rows,
    joint_log_weights,
    row_log_weights,
)
from amortis.fitting import Estimate, Fit, blocks_of, independent_noise, raw_of, seed_of
from amortis.guide import Guide, Noise
from amortis.model import LatentModel

RATIO_DRAWS = 2048
_FEWEST_GLOBAL_DRAWS, _MOST_GLOBAL_DRAWS = 100, 1000
_GLOBAL_NUMBERS, MOST_GLOBALS_ALONE = 200_000_000, 4000
"""Draws times rows that are spent on k-hat where there are no locals, and most draws."""

_QUADRATURE_DIMENSIONS, _RULE_POINTS = 2, 128
_GRID = {1: (41, 12.0), 2: (17, 5.6)}
"""Points along each axis, and how far they reach, in sds of a row's best factor."""

_INTEGRATED_NUMBERS = 30_000_000
"""Draws of the globals times rows times points of a rule that are spent on k-hat of the globals."""

_EVEN_SD = 1e-3
"""Sd of log weights, in nats, below which they are equal: their tail is that of rounding."""

_MOST_INNER_NOISE = 0.05
"""Variance in nats² of the log evidence that the rules for the locals may add."""

_RATIOS, _GLOBALS = 2, 3  # what noise is for


@dataclasses.dataclass(frozen=True)
class Ratios:
    r"""What importance ratios say of a fit.

    Attributes:
        row_k: k-hat of each datum's factor; NaN where units touch each other.
        own_k: the same of the factor that is optimal for it; only where `row_k` is above 0.7.
        influence_k: k-hat of $1/p(x_n\mid\theta)$ under $q(\theta)$, which is what leaving datum n
            out asks of the globals; NaN where it was not measured.
        row_elbos: each datum's part of the ELBO, in nats; NaN where it is not known.
        global_k: k-hat of $q(\theta)$ with the locals summed out, or of all latents together where
            units touch each other; NaN where it was not measured.
        evidence: log p(x), in nats, total; None where it was not measured.
        weighted: moments of the globals by the weights; None where not measured.
    """

    row_k: Float[np.ndarray, " rows"]
    own_k: Float[np.ndarray, " rows"]
    influence_k: Float[np.ndarray, " rows"]
    row_elbos: Float[np.ndarray, " rows"]
    global_k: float
    evidence: Estimate | None
    weighted: Weighted | None = None


def ratios_of_whole(fitted: Fit, *, key: RandomKey) -> Ratios:
    """The ratios of all latents together, for models whose units touch each other.

    Args:
        fitted: a fit.
        key: random key.
    """
    draws, size = _MOST_GLOBAL_DRAWS, fitted.model.size
    own = seed_of(key, _RATIOS, 1)
    noise = independent_noise(fitted.guide, seed_of(key, _RATIOS), own, draws, size)
    return _of_joint(fitted, noise)


def _of_joint(fitted: Fit, noise: Noise) -> Ratios:
    """The ratios of all latents together at the draws that some noise makes."""
    size, raw = fitted.model.size, raw_of(fitted.guide, fitted.variational, None)
    weights = np.asarray(
        joint_log_weights(fitted.model, fitted.guide, fitted.variational, raw, noise), np.float64
    )
    k = float(pareto_k(weights)) if fitted.guide.global_family.is_density else math.nan
    if np.isfinite(weights).all() and weights.std() < _EVEN_SD and not math.isnan(k):
        k = EXACT
    # Where the largest weight is all that counts, the mean says nothing.
    evidence = _log_mean(weights) if k <= TRUSTED else None
    unknown = np.full(size, np.nan)
    moments = _weighted(fitted, np.asarray(noise.theta), weights)
    return Ratios(unknown, unknown, unknown, unknown, k, evidence, moments)


def _weighted(
    fitted: Fit, theta_noise: np.ndarray, log_weights: Float[np.ndarray, " draws"]
) -> Weighted | None:
    """Moments of the globals by the weights of the draws that some noise makes."""
    if not (fitted.guide.global_family.is_density and fitted.guide.theta.dimension):
        return None
    values = np.asarray(global_values(fitted.guide, fitted.variational, theta_noise), np.float64)
    return weighted_moments(values, log_weights)


def ratios_of_globals(fitted: Fit, *, key: RandomKey) -> Ratios:
    """The ratios of the globals of a model without locals.

    Args:
        fitted: a fit.
        key: random key.
    """
    size = fitted.model.size
    spent = max(min(_GLOBAL_NUMBERS // size, MOST_GLOBALS_ALONE), _MOST_GLOBAL_DRAWS)
    noise = independent_noise(fitted.guide, seed_of(key, _RATIOS), seed_of(key), spent, size)
    return _of_joint(fitted, noise)


def ratios_by_row(
    fitted: Fit, model: LatentModel, optimal: Float[np.ndarray, "rows raw"], *, key: RandomKey
) -> Ratios:
    """The ratios of each row's factor, and of the globals with the locals summed out.

    Args:
        fitted: a fit.
        model: its model, with one term per unit.
        optimal: raw parameters of the factor that is optimal for each datum.
        key: random key.
    """
    measured = _Measured(fitted, model, key)
    for place, fresh, index in blocks_of(model, RATIO_DRAWS * max(fitted.guide.z.dimension, 1)):
        measured.measure(place, fresh, index, optimal)
    return measured.ratios()


class _Measured:
    """Collects what is measured block by block of rows."""

    def __init__(self, fitted: Fit, model: LatentModel, key: RandomKey) -> None:
        self.fitted, self.model = fitted, model
        size, guide = model.size, fitted.guide
        self.row_k, self.own_k = np.zeros(size), np.full(size, np.nan)
        self.influence_k, self.row_elbos = np.full(size, np.nan), np.full(size, np.nan)
        self.tail = _with_held_globals(tail_draws(guide, seed_of(key, _RATIOS), RATIO_DRAWS), model)
        points = _GRID[2][0] ** 2 if guide.z.dimension == 2 else _RULE_POINTS
        spent = _INTEGRATED_NUMBERS // (size * points)
        count = max(min(spent, _MOST_GLOBAL_DRAWS), _FEWEST_GLOBAL_DRAWS)
        shared = seed_of(key, _GLOBALS)
        self.global_noise = np.asarray(
            independent_noise(guide, shared, seed_of(key), count, 0).theta
        )
        self.integrals, self.coarse, self.inner_noise = np.zeros(count), np.zeros(count), 0.0

    @property
    def parts(self) -> tuple[LatentModel, Guide, dict[str, object]]:
        held = {"globals": self.fitted.variational["globals"]}
        return self.model, self.fitted.guide.factors(), held

    def measure(
        self,
        place: np.ndarray,
        fresh: np.ndarray,
        index: jnp.ndarray | None,
        optimal: Float[np.ndarray, "rows raw"],
    ) -> None:
        """Measure one block of rows."""
        raw = raw_of(self.fitted.guide, self.fitted.variational, index)
        ratios = np.asarray(row_log_weights(*self.parts, raw, self.tail.noise, index), np.float64).T
        self.row_k[place] = tail_k(ratios, self.tail.mass)
        if self.model.density is self.fitted.model.density:
            self.row_elbos[place] = ratios @ self.tail.mass
        untrusted = ~(self.row_k[place] <= TRUSTED)
        own = jnp.asarray(optimal[place], raw.dtype)
        if untrusted.any():
            at_own = row_log_weights(*self.parts, own, self.tail.noise, index)
            chosen = np.asarray(at_own, np.float64).T[untrusted]
            self.own_k[place[untrusted]] = tail_k(chosen, self.tail.mass)
        if not self.fitted.guide.global_family.is_density or self.fitted.held:
            return  # points have no k-hat, and q of other data is no posterior given these
        rule = _rule(self.fitted.guide, len(place))
        # The rule is that of the best factor: of one that is far off it would miss the integrand.
        found = integrated_rows(*self.parts, own, self.global_noise, rule, index)
        integrals, variances, coarse = (np.asarray(values, np.float64) for values in found)
        self.integrals += integrals[:, fresh].sum(axis=1)
        self.coarse += coarse[:, fresh].sum(axis=1)
        if self.fitted.guide.z.dimension > _QUADRATURE_DIMENSIONS:
            share = variances[:, fresh].mean(axis=0)
            self.inner_noise += float(share.sum()) / _RULE_POINTS
        elif self.fitted.guide.theta.dimension:
            self.influence_k[place] = pareto_k(-integrals.T)

    def ratios(self) -> Ratios:
        """What was measured."""
        evidence, global_k, weighted = None, math.nan, None
        is_density = self.fitted.guide.global_family.is_density
        if is_density and not self.fitted.held and self.inner_noise <= _MOST_INNER_NOISE:
            prior = np.asarray(global_log_weights(*self.parts, self.global_noise), np.float64)
            log_weights = prior + self.integrals
            global_k = float(pareto_k(log_weights))
            # Where the largest weight is all that counts, the mean says nothing.
            evidence = self._evidence(prior) if global_k <= TRUSTED else None
            weighted = _weighted(self.fitted, self.global_noise, log_weights)
        rows = (self.row_k, self.own_k, self.influence_k, self.row_elbos)
        return Ratios(*rows, global_k, evidence, weighted)

    def _evidence(self, prior: Float[np.ndarray, " draws"]) -> Estimate:
        """The mean weight; its error is that of the draws, and of the grid for the locals."""
        found = _log_mean(prior + self.integrals)
        if self.fitted.guide.z.dimension > _QUADRATURE_DIMENSIONS:
            return found
        off = abs(found.mean - _log_mean(prior + self.coarse).mean)
        # The finer grid is far better than the coarser one; a tenth of their distance is ample.
        return Estimate(found.mean, math.hypot(found.se, 0.1 * off))


def influence_error(k: float) -> float:
    """Standard error of an influence's k-hat on the fewest draws that are spent on it."""
    return k_error(_FEWEST_GLOBAL_DRAWS, k)


def _with_held_globals(tail: TailDraws, model: LatentModel) -> TailDraws:
    """Hold the globals where terms are line integrals, which lack what is theirs alone."""
    if model.separable:
        return tail
    noise = Noise(np.zeros_like(tail.noise.theta), tail.noise.z, tail.noise.weight)
    return TailDraws(noise, tail.mass)


def _rule(guide: Guide, rows: int) -> Noise:
    """Points for the integral over one row's locals."""
    dimension = guide.z.dimension
    if dimension <= _QUADRATURE_DIMENSIONS:
        count, reach = _GRID[max(dimension, 1)]
        line = np.linspace(-reach, reach, count)
        grids = np.meshgrid(*[line] * dimension, indexing="ij")
        points = np.stack([grid.ravel() for grid in grids], axis=1)
        # Evenly spaced points integrate what dies out at both ends as well as any rule.
        step = (line[1] - line[0]) ** dimension
        weights = step * np.exp(-0.5 * np.sum(points**2, axis=1)) / (2 * np.pi) ** (dimension / 2)
        z = points[:, None, :]
    else:
        generator = np.random.default_rng(0)
        z = numerics.reflected(generator, _RULE_POINTS, rows, dimension)
        weights = np.full(_RULE_POINTS, 1.0 / _RULE_POINTS)
    dtype = jnp.result_type(float)
    return Noise(np.zeros((len(z), 0), dtype), z.astype(dtype), weights.astype(dtype))


def _log_mean(log_weights: Float[np.ndarray, " draws"]) -> Estimate:
    """Log of the mean weight, in nats, with its standard error by the delta method."""
    largest = log_weights.max()
    weights = np.exp(log_weights - largest)
    mean = weights.mean()
    se = weights.std(ddof=1) / mean / math.sqrt(len(weights))
    return Estimate(float(largest + np.log(mean)), float(se))
