"""`diagnose`: how much ELBO amortization cost, and whether q is close to the posterior."""

import math
import time
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._require import require_count, require_key, require_kind
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.diagnostics.diagnosis import Diagnosis, Finding, WorstRow
from amortis.diagnostics.paired import (
    antithetic_noise,
    independent_noise,
    mean_and_se,
    paired_gains,
    seed_of,
)
from amortis.diagnostics.pareto import EXACT, TRUSTED, k_error, pareto_k
from amortis.diagnostics.weights import global_log_weights, integrated_rows, row_log_weights
from amortis.fitting import Estimate, Fit, optimal_rows, row_blocks, row_noise
from amortis.guide import Guide, Noise

_RATIO_DRAWS = 1000
_FEWEST_GLOBAL_DRAWS, _MOST_GLOBAL_DRAWS = 100, 1000
_QUADRATURE_DIMENSIONS, _RULE_POINTS = 2, 128
_NODES = {1: 16, 2: 8}
_INTEGRATED_NUMBERS = 30_000_000
"""Draws of the globals times rows times points of a rule that are spent on k-hat of the globals."""

_MOST_INNER_NOISE = 0.05
"""Variance in nats² of the log evidence that the rules for the locals may add."""

_SHARE = 0.01
"""Share of data with k-hat above 0.7 from which the factors count as too narrow."""


def diagnose(
    fitted: Fit, *, key: RandomKey, draws: int = 128, tolerance: float = 1e-3
) -> Diagnosis:
    r"""Measure what amortization cost, datum by datum, and how close q is to the posterior.

    From the function's output each datum's own factor is optimised with $q(\theta)$ held; what that
    gains is measured on fresh draws that both share, so that the difference is far less noisy than
    either ELBO. k-hat of $p(x_n, z_n\mid\theta)/q(z_n)$ says for each datum whether its factor
    could be corrected by importance weighting, and k-hat of the globals, with the locals summed
    out, whether $q(\theta)$ could.

    Args:
        fitted: a fit of a model whose units do not touch each other.
        key: random key.
        draws: fresh draws on which the gap is measured, at least eight.
        tolerance: gap per datum, in nats, up to which the function is good enough.

    Returns:
        The diagnosis; `print` reads as an answer.

    Raises:
        ArgumentError: too few draws, a tolerance that is not positive, or a model whose units touch
            each other or cannot be evaluated apart.

    References:
        Margossian & Blei (2024) for the gap; Cremer et al., *Inference Suboptimality in Variational
        Autoencoders* (2018) for the gap of inference; Vehtari et al. (2024) for k-hat.
    """
    started = time.perf_counter()
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    require_key(key)
    require_count("number of", "draws", draws, "ask for more")
    if draws < 8:
        raise ArgumentError(f"number of draws is {draws}; expected at least 8: ask for more")
    if not tolerance > 0:
        raise ArgumentError(f"tolerance is {tolerance}; expected nats per datum above zero")
    if not fitted.model.separable:
        raise ArgumentError(
            f"the units of {fitted.model.plate!r} share terms or data and cannot be evaluated "
            f"apart; expected a model that `check` calls POINTWISE or GROUPED"
        )
    measured = _Measured(fitted, key, draws)
    for index in measured.blocks():
        measured.measure(index)
    return _diagnosis(measured, tolerance, started)


_GAP, _RATIOS, _GLOBALS = 1, 2, 3  # what noise is for


@eqx.filter_jit
def _raw(guide: Guide, variational: Parameters, index: RowIndex | None) -> Array:
    return guide.fitted_raw(variational, index)


class _Measured:
    """Collects what is measured block by block of rows."""

    def __init__(self, fitted: Fit, key: RandomKey, draws: int) -> None:
        self.fitted = fitted
        self.key = key
        self.pairs = (draws + 1) // 2
        size = fitted.model.size
        self.totals = np.zeros(2 * self.pairs)
        self.row_gaps, self.row_ses = np.zeros(size), np.zeros(size)
        self.row_k, self.settled = np.zeros(size), np.zeros(size, bool)
        guide = fitted.guide
        points = _NODES.get(guide.z.dimension, _RULE_POINTS)
        spent = _INTEGRATED_NUMBERS // (size * points)
        count = max(min(spent, _MOST_GLOBAL_DRAWS), _FEWEST_GLOBAL_DRAWS)
        self.global_noise = np.asarray(
            independent_noise(guide, seed_of(key, _GLOBALS), seed_of(key), count, 0).theta
        )
        self.integrals, self.inner_noise = np.zeros(count), 0.0
        self._done = np.zeros(size, bool)

    def blocks(self) -> list[RowIndex | None]:
        """Positions of rows that are measured together; None for all at once."""
        per_row = _RATIO_DRAWS * max(self.fitted.guide.z.dimension, 1)
        return row_blocks(self.fitted.model, per_row)

    def measure(self, index: RowIndex | None) -> None:
        """Measure one block of rows."""
        fitted = self.fitted
        parts = (fitted.model, fitted.guide, fitted.variational)
        place = np.arange(fitted.model.size) if index is None else np.asarray(index)
        fresh = ~self._done[place]  # the last block may overlap
        raw = _raw(fitted.guide, fitted.variational, index)
        block = int(place[0])
        found = optimal_rows(*parts, raw, row_noise(fitted.guide, self.key, len(place)), index)
        noise = antithetic_noise(
            fitted.guide,
            seed_of(self.key, _GAP),
            seed_of(self.key, _GAP, 1 + block),
            self.pairs,
            len(place),
        )
        gains = np.asarray(paired_gains(*parts, raw, found.raw, noise, index), np.float64)
        self.row_gaps[place], self.row_ses[place] = mean_and_se(gains)
        self.totals += gains[:, fresh].sum(axis=1)
        self.settled[place] = np.asarray(found.settled)
        ratio_noise = independent_noise(
            fitted.guide,
            seed_of(self.key, _RATIOS),
            seed_of(self.key, _RATIOS, 1 + block),
            _RATIO_DRAWS,
            len(place),
        )
        ratios = np.asarray(row_log_weights(*parts, raw, ratio_noise, index), np.float64)
        self.row_k[place] = pareto_k(ratios.T)
        integrals, variances = integrated_rows(
            *parts, raw, self.global_noise, self._rule(len(place)), index
        )
        self.integrals += np.asarray(integrals, np.float64)[:, fresh].sum(axis=1)
        if fitted.guide.z.dimension > _QUADRATURE_DIMENSIONS:
            share = np.asarray(variances, np.float64)[:, fresh].mean(axis=0)
            self.inner_noise += float(share.sum()) / _RULE_POINTS
        self._done[place] = True

    def _rule(self, rows: int) -> Noise:
        """Points for the integral over one row's locals."""
        dimension = self.fitted.guide.z.dimension
        if dimension <= _QUADRATURE_DIMENSIONS:
            points, weights = numerics.gauss_hermite(_NODES[max(dimension, 1)], dimension)
            z = points[:, None, :]
        else:
            generator = np.random.default_rng(0)
            z = numerics.reflected(generator, _RULE_POINTS, rows, dimension)
            weights = np.full(_RULE_POINTS, 1.0 / _RULE_POINTS)
        dtype = jnp.result_type(float)
        return Noise(np.zeros((len(z), 0), dtype), z.astype(dtype), weights.astype(dtype))


def _diagnosis(measured: _Measured, tolerance: float, started: float) -> Diagnosis:
    fitted = measured.fitted
    mean, se = mean_and_se(measured.totals)
    gap = Estimate(float(mean), float(se))
    prior = np.asarray(
        global_log_weights(fitted.model, fitted.guide, fitted.variational, measured.global_noise),
        np.float64,
    )
    log_weights = prior + measured.integrals
    evidence, global_k = None, math.nan
    is_density = fitted.guide.global_family.is_density
    if is_density and measured.inner_noise <= _MOST_INNER_NOISE:
        evidence = _log_mean(log_weights)
        global_k = float(pareto_k(log_weights))
    elbo = fitted.elbo(key=measured.key, draws=2 * measured.pairs)
    finding = _finding(measured, gap, global_k, tolerance)
    return Diagnosis(
        finding=finding,
        size=fitted.model.size,
        tolerance=tolerance,
        gap=gap,
        row_gaps=measured.row_gaps,
        row_gap_ses=measured.row_ses,
        row_k=measured.row_k,
        global_k=global_k,
        elbo=elbo,
        evidence=evidence,
        worst=_worst(measured),
        unsettled=int(np.sum(~measured.settled)),
        next_steps=_next_steps(finding, fitted),
        seconds=time.perf_counter() - started,
    )


def _log_mean(log_weights: Float[np.ndarray, " draws"]) -> Estimate:
    """Log of the mean weight, in nats, with its standard error by the delta method."""
    largest = log_weights.max()
    weights = np.exp(log_weights - largest)
    mean = weights.mean()
    se = weights.std(ddof=1) / mean / math.sqrt(len(weights))
    return Estimate(float(largest + np.log(mean)), float(se))


def _finding(measured: _Measured, gap: Estimate, global_k: float, tolerance: float) -> Finding:
    size = measured.fitted.model.size
    if gap.mean - 2.0 * gap.se > tolerance * size:
        return Finding.FUNCTION_TOO_SMALL
    if gap.mean + 2.0 * gap.se > tolerance * size:
        return Finding.UNCERTAIN
    if (measured.row_k == EXACT).all() and global_k == EXACT:
        return Finding.EXACT
    if np.mean(~(measured.row_k <= TRUSTED)) > _SHARE:
        return Finding.FAMILY_TOO_NARROW
    if global_k - k_error(len(measured.integrals), global_k) > TRUSTED:  # false if NaN
        return Finding.GLOBALS_TOO_NARROW
    return Finding.FINE


def _next_steps(finding: Finding, fitted: Fit) -> tuple[str, ...]:
    function = fitted.guide.inference
    if finding is Finding.FUNCTION_TOO_SMALL:
        return (
            "amortis.refine(fitted, key=key): a factor per datum, started at the function's output",
            f"a wider function than {function}: amortis.fit(..., inference=...)",
        )
    if finding is Finding.UNCERTAIN:
        return ("amortis.diagnose(fitted, key=key, draws=...) with more draws",)
    if finding is Finding.FAMILY_TOO_NARROW:
        return ("a richer family for the locals; compare with NUTS where it finishes",)
    if finding is Finding.GLOBALS_TOO_NARROW:
        return ("a richer family for the globals; compare with NUTS where it finishes",)
    return ()


def _worst(measured: _Measured, count: int = 10) -> tuple[WorstRow, ...]:
    model = measured.fitted.model
    order = np.argsort(-measured.row_gaps)[:count]
    inputs: Array = model.inputs
    return tuple(
        WorstRow(
            int(n),
            float(measured.row_gaps[n]),
            float(measured.row_k[n]),
            _named(model.input_names, np.asarray(inputs[int(n)])),
        )
        for n in order
    )


def _named(names: tuple[str, ...], values: np.ndarray) -> dict[str, Any]:
    return dict(zip(names, (float(v) for v in values), strict=True))
