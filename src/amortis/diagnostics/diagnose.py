"""`diagnose`: how much ELBO amortization cost, and whether q is close to the posterior."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._require import require_count, require_key, require_kind, require_positive
from amortis._types import RandomKey
from amortis.diagnostics.collapse import collapse_of
from amortis.diagnostics.diagnosis import Diagnosis
from amortis.diagnostics.finding import Finding, WorstRow
from amortis.diagnostics.held_out import held_out_by, require_held_out
from amortis.diagnostics.missed_modes import MissedMode, missed_modes
from amortis.diagnostics.next_steps import next_steps
from amortis.diagnostics.pareto import EXACT, TRUSTED, k_error
from amortis.diagnostics.ratios import (
    RATIO_DRAWS,
    Ratios,
    ratios_by_row,
    ratios_of_globals,
    ratios_of_whole,
)
from amortis.diagnostics.spread import Spread, spread_of
from amortis.fitting import Estimate, Fit, Gap, StepGaps, amortization_gap, separated, step_gaps
from amortis.inference_functions import described
from amortis.model import given_data
from amortis.optimise import Status

_SHARE = 0.01
"""Share of data with k-hat above 0.7 from which the factors count as too narrow."""

_GLOBAL_DRAWS = 1000

_NATS_OFF = 1.0
"""Divergence of q from a posterior of globals alone from which it does not fit, whatever k-hat."""

_CLIMBS = 2**20
"""What a key is for, beside draws."""


def diagnose(
    fitted: Fit,
    *,
    key: RandomKey,
    draws: int = 128,
    tolerance: float = 1e-3,
    held_out: Fit | None = None,
    reference: Fit | None = None,
) -> Diagnosis:
    r"""Measure what amortization cost, datum by datum, and how close q is to the posterior.

    From the function's output each datum's own factor is optimised with $q(\theta)$ held; what that
    gains is measured on fresh draws that both share, so that the difference is far less noisy than
    either ELBO. k-hat of $p(x_n, z_n\mid\theta)/q(z_n)$ says for each datum whether its factor
    could be corrected by importance weighting, and k-hat of the globals, with the locals summed
    out, whether $q(\theta)$ could. Where units touch each other all factors are optimised together,
    and there is one gap and one k-hat, of everything.

    Args:
        fitted: a fit.
        key: random key.
        draws: fresh draws on which the gap is measured, at least eight.
        tolerance: gap per datum, in nats, up to which the function is good enough.
        held_out: the same fit bound to data it has not seen, `infer(fitted, x_held_out)`.
        reference: another fit of the same model and data, such as `refine(fitted, key=key)`, whose
            ELBO is compared on common draws.

    Returns:
        The diagnosis; `print` reads as an answer.

    Raises:
        ArgumentError: too few draws, a tolerance that is not positive, or a reference or held-out
            fit of something else.
        DataError: held-out data that are among the fitted ones.

    References:
        Margossian & Blei (2024) for the gap; Cremer et al., *Inference Suboptimality in Variational
        Autoencoders* (2018) for the gap of inference; Vehtari et al. (2024) for k-hat.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist, amortis
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> x = jax.numpy.linspace(-3.0, 3.0, 50)
        >>> fitted = amortis.fit(amortis.from_numpyro(model, x), key=jax.random.key(0))
        >>> diagnose(fitted, key=jax.random.key(1)).finding.name
        'FINE'
    """
    started = time.perf_counter()
    _require_arguments(fitted, key, draws, tolerance)
    if held_out is not None:
        require_held_out(fitted, held_out)
    if reference is not None:
        _require_reference(fitted, reference)
    return _diagnosis(fitted, key, int(draws), tolerance, held_out, reference, started)


def _require_arguments(fitted: object, key: object, draws: int, tolerance: float) -> None:
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    require_key(key)
    require_count("number of", "draws", draws, "ask for more")
    if draws < 8:
        raise ArgumentError(f"number of draws is {draws}; expected at least 8: ask for more")
    require_positive("diagnose", "tolerance", tolerance)


def _diagnosis(
    fitted: Fit,
    key: RandomKey,
    draws: int,
    tolerance: float,
    held_out: Fit | None,
    reference: Fit | None,
    started: float,
) -> Diagnosis:
    """Gap, then ratios at the function's output and at the optima, then what follows from them."""
    if not fitted.model.locals_:
        gap, model = Gap.none(fitted.model.size), None
        ratios = ratios_of_globals(fitted, key=key)
    elif (model := separated(fitted)) is None:
        gap = amortization_gap(fitted, key=key, draws=draws)
        ratios = ratios_of_whole(fitted, key=key)
    else:
        gap = amortization_gap(fitted, key=key, draws=draws)
        ratios = ratios_by_row(fitted, model, gap.optimal, key=key)
    unseen = None
    if held_out is not None:
        unseen = held_out_by(fitted, held_out, ratios.row_elbos, key=key, draws=draws)
    spread = spread_of(fitted, ratios.weighted, ratios.global_k)
    elbo = fitted.elbo(key=key, draws=draws)
    missed = missed_modes(fitted, elbo.mean, key=numerics.forked(key, _CLIMBS))
    steps = step_gaps(fitted, gap, key=key, draws=draws)
    finding = _finding(fitted, gap, steps, ratios, spread, missed, elbo.mean, tolerance)
    return Diagnosis(
        finding=finding,
        size=fitted.model.size,
        tolerance=tolerance,
        gap=gap.total,
        row_gaps=gap.rows,
        row_gap_ses=gap.row_ses,
        row_k=ratios.row_k,
        own_k=ratios.own_k,
        influence_k=ratios.influence_k,
        global_k=ratios.global_k,
        elbo=elbo,
        evidence=None if missed else ratios.evidence,  # weights know nothing of those
        weight_variance=math.nan if ratios.weighted is None else ratios.weighted.variance,
        outside=math.nan if ratios.weighted is None else ratios.weighted.outside,
        spread=spread,
        missed=missed,
        worst=_worst(fitted, gap, ratios),
        collapse=collapse_of(fitted, key=key),
        held_out=unseen,
        reference_gain=None if reference is None else _gain(fitted, reference, key, draws),
        unsettled=int(np.sum(~gap.settled)),
        steps=steps,
        next_steps=next_steps(finding, fitted, steps, unseen, missed, tolerance),
        status=fitted.status,
        function=described(fitted.guide.inference),
        is_start=fitted.objective is not None and fitted.objective.is_start,
        seconds=time.perf_counter() - started,
    )


def _require_reference(fitted: Fit, reference: Fit) -> None:
    require_kind("reference", reference, Fit, "amortis.refine(fitted, key=key)")
    ours, theirs = fitted.model, reference.model
    sites = (ours.size, dict(ours.globals_), dict(ours.locals_))
    if sites != (theirs.size, dict(theirs.globals_), dict(theirs.locals_)):
        raise ArgumentError(
            f"reference is a fit of {theirs.size} rows with sites "
            f"{', '.join([*theirs.globals_, *theirs.locals_])}; expected one of the same model and "
            f"data, such as amortis.refine(fitted, key=key)"
        )
    if ours is not theirs and not _same_arrays(given_data(ours).arrays, given_data(theirs).arrays):
        raise ArgumentError(
            "reference was fitted to other data of the same size; expected the same data, or their "
            "ELBOs cannot be compared: pass such as amortis.refine(fitted, key=key)"
        )


def _same_arrays(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    return ours.keys() == theirs.keys() and all(
        np.array_equal(np.asarray(value), np.asarray(theirs[name])) for name, value in ours.items()
    )


def _gain(fitted: Fit, reference: Fit, key: RandomKey, draws: int) -> Estimate:
    """What the reference is ahead, on draws that both see."""
    pairs = reference.elbo_pairs(key=key, draws=draws) - fitted.elbo_pairs(key=key, draws=draws)
    return Estimate(float(pairs.mean()), float(pairs.std(ddof=1) / math.sqrt(len(pairs))))


def _finding(
    fitted: Fit,
    gap: Gap,
    steps: StepGaps | None,
    ratios: Ratios,
    spread: Spread | None,
    missed: Sequence[MissedMode],
    elbo: float,
    tolerance: float,
) -> Finding:
    """The first of what is wrong, in the order in which it would have to be mended."""
    if steps is not None and steps.cut.any_step and not gap.is_below(tolerance):
        return Finding.SLOPES_CUT
    if gap.total.mean - 2.0 * gap.total.se > tolerance * len(gap.rows):
        return Finding.FUNCTION_TOO_SMALL
    if not gap.is_below(tolerance):
        return Finding.UNCERTAIN
    if np.mean(_surely_above(ratios.own_k)) > _SHARE:
        return Finding.FAMILY_TOO_NARROW
    if np.mean(_surely_above(ratios.row_k)) > _SHARE:
        return Finding.FUNCTION_TOO_SMALL
    if missed:
        return Finding.GLOBALS_TOO_NARROW
    if not (fitted.status is Status.CONVERGED or fitted.held or _is_vouched_for(fitted, ratios)):
        return Finding.UNFINISHED
    # NaN, where nothing was measured, is not above.
    globals_narrow = ratios.global_k - k_error(_GLOBAL_DRAWS, ratios.global_k) > TRUSTED
    globals_narrow |= spread is not None and spread.misplaced
    if not fitted.model.locals_:
        if math.isnan(ratios.global_k):
            return Finding.NOT_MEASURED
        if ratios.global_k == EXACT:
            return Finding.EXACT
        return Finding.FINE if _is_close(ratios, spread, elbo) else Finding.GLOBALS_TOO_NARROW
    if np.isnan(gap.rows).all():
        if fitted.model.coupled and globals_narrow:
            return Finding.UNITS_TIED
        return Finding.FINE if ratios.global_k <= TRUSTED else Finding.NOT_MEASURED
    if (ratios.row_k == EXACT).all() and ratios.global_k == EXACT:
        return Finding.EXACT
    return Finding.GLOBALS_TOO_NARROW if globals_narrow else Finding.FINE


def _is_vouched_for(fitted: Fit, ratios: Ratios) -> bool:
    """Whether weights are so even that q is the posterior, however the optimiser ended."""
    return not fitted.model.locals_ and ratios.weighted is not None and ratios.weighted.even


def _is_close(ratios: Ratios, spread: Spread | None, elbo: float) -> bool:
    """Whether q of a model without locals is to be trusted, for which nobody else vouches.

    k-hat has to say so surely, or the weights to be so even that no moment can be far off, and what
    corrects q must not disagree with it.
    """
    if spread is not None and spread.misplaced:
        return False
    if ratios.evidence is not None and ratios.evidence.mean - elbo > _NATS_OFF:
        return False
    return ratios.global_k <= TRUSTED or (ratios.weighted is not None and ratios.weighted.even)


def _surely_above(k: np.ndarray) -> np.ndarray:
    """Where k-hat exceeds what is trusted by more than its error; not where it is unknown."""
    unit = k_error(RATIO_DRAWS, 0.0)  # the error is that times 1 + k
    return k > (TRUSTED + unit) / (1.0 - unit)


def _worst(fitted: Fit, gap: Gap, ratios: Ratios, count: int = 10) -> tuple[WorstRow, ...]:
    if np.isnan(gap.rows).all():
        return ()
    model = fitted.model
    # By what is surely lost: of noisy gaps the largest are those with the most noise.
    order = np.argsort(-(gap.rows - 2.0 * gap.row_ses))[:count]
    read = np.asarray(model.inputs[order])
    return tuple(
        WorstRow(int(n), float(gap.rows[n]), float(ratios.row_k[n]), _named(model.input_names, row))
        for n, row in zip(order, read, strict=True)
    )


def _named(names: tuple[str, ...], values: np.ndarray) -> dict[str, Any]:
    return dict(zip(names, (float(v) for v in values), strict=True))
