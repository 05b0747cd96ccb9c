"""What to do about what `diagnose` has found."""

from collections.abc import Sequence

from amortis.diagnostics.finding import Finding
from amortis.diagnostics.held_out import HeldOut
from amortis.diagnostics.missed_modes import MissedMode
from amortis.families import Conditional, DiagonalNormal, components_of
from amortis.fitting import Fit, StepGaps
from amortis.inference_functions import GradientAscent, described

_NUTS = "compare with NUTS where it finishes"

_ALL_BUT_ELSEWHERE = 0.9
"""Mass of missed modes from which it is q that is in the wrong place."""


def next_steps(
    finding: Finding,
    fitted: Fit,
    steps: StepGaps | None,
    unseen: HeldOut | None,
    missed: Sequence[MissedMode],
    tolerance: float,
) -> tuple[str, ...]:
    """Calls that mend what was found, the most promising first.

    Args:
        finding: what limits the fit.
        fitted: the fit.
        steps: gap against number of steps, of a function that takes steps.
        unseen: what was measured on held-out data.
        missed: modes that q misses.
        tolerance: gap per datum, in nats, that is good enough.
    """
    function = fitted.guide.inference
    if finding is Finding.SLOPES_CUT:
        return _calmer_slopes(fitted)
    if finding is Finding.FUNCTION_TOO_SMALL:
        refine = (
            "amortis.refine(fitted, key=key): a factor per datum, started at the function's output"
        )
        larger = f"amortis.fit(model, key=key, tolerance={tolerance:g}): grow {described(function)}"
        if steps is not None:
            more = f"amortis.with_steps(fitted, {2 * steps.own}): more steps, nothing to train"
            return (more, refine) if steps.more_steps_gain > 0.0 else (refine,)
        only = fitted.model.coupled or function.owns_rows or fitted.held or fitted.objective
        return (refine,) if only else (refine, larger)
    if finding is Finding.UNCERTAIN:
        return ("amortis.diagnose(fitted, key=key, draws=...) with more draws",)
    if finding is Finding.UNFINISHED:
        return ("amortis.fit(model, key=key, ...) with more evaluations, draws or restarts",)
    if finding is Finding.FAMILY_TOO_NARROW:
        return ("a richer family for the locals; compare with NUTS where it finishes",)
    if missed and fitted.model.starts:
        return ("amortis.fit(..., restarts=10): q misses modes; other starts may find them", _NUTS)
    if sum(mode.share for mode in missed) > _ALL_BUT_ELSEWHERE:
        return ("amortis.select_family(model, key=key): q stands where there is no mass", _NUTS)
    if missed:
        mixture = f"amortis.Mixture({components_of(fitted.guide.global_family) + len(missed)})"
        return (f"amortis.fit(model, key=key, globals_={mixture}): components at all modes", _NUTS)
    if finding is Finding.GLOBALS_TOO_NARROW:
        return _richer_globals(fitted)
    if finding in (Finding.UNITS_TIED, Finding.NOT_MEASURED):
        return ("trust means more than sds; amortis.compare(fitted, mcmc) where NUTS finishes",)
    if unseen is not None and unseen.gap.mean - 2.0 * unseen.gap.se > tolerance:
        return ("amortis.refine(amortis.infer(fitted, x_new), key=key) for new data",)
    return ()


def _calmer_slopes(fitted: Fit) -> tuple[str, ...]:
    """What keeps slopes finite on the way to a row's factor."""
    scale = "data on a scale near one, or a model whose density is finite wherever steps lead"
    if isinstance(fitted.guide.inference, GradientAscent):
        rule = "amortis.GradientAscent(amortis.LBFGSSteps()): no step that loses; or a smaller rate"
        return (rule, scale)
    start = "amortis.Iterative(..., start=amortis.Polynomial(1)): begin where slopes are moderate"
    return (start, scale)


def _richer_globals(fitted: Fit) -> tuple[str, ...]:
    guide = fitted.guide
    honest = "fitted.covariance(): honest sds of the means by linear response"
    if fitted.model.starts:
        return (honest,)  # other families cannot stand beside parameters without a prior
    if not fitted.model.locals_:
        select = "amortis.select_family(model, key=key): which family to trust"
        responds = fitted.maximises_elbo and guide.global_family.is_identified
        return (select, honest, _NUTS) if responds else (select, _NUTS)
    if isinstance(guide.local_family, Conditional):
        if isinstance(guide.global_family, DiagonalNormal):
            tied = "globals_=amortis.FullRank(), locals_=amortis.Conditional()"
            return (f"amortis.fit(model, key=key, {tied}): globals that move together", _NUTS)
        tied = "globals_=amortis.Flow(), locals_=amortis.Conditional()"
        return (f"amortis.fit(model, key=key, {tied}): globals of any shape", _NUTS)
    fit = "amortis.fit(model, key=key, globals_=amortis.FullRank(), locals_=amortis.Conditional())"
    return (f"{fit}: locals that move with the globals", honest, _NUTS)
