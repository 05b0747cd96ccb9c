"""`Diagnosis`: what `diagnose` found, as a frozen record that prints as an answer."""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float

from amortis.diagnostics.collapse import Collapse
from amortis.diagnostics.finding import Finding, WorstRow
from amortis.diagnostics.held_out import HeldOut
from amortis.diagnostics.missed_modes import MissedMode
from amortis.diagnostics.pareto import EXACT, TRUSTED
from amortis.diagnostics.ratios import influence_error
from amortis.diagnostics.spread import Spread
from amortis.diagnostics.weighted import EVEN
from amortis.fitting import Estimate, StepGaps
from amortis.optimise import Status


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    r"""How much amortization cost, and whether q is close to the posterior.

    Attributes:
        finding: the answer.
        size: number of data N.
        tolerance: gap per datum, in nats, up to which the function is good enough.
        gap: what factors of their own would gain with $q(\theta)$ held, in nats, total.
        row_gaps: the same for each datum, in nats; noisy where small.
        row_gap_ses: their standard errors.
            NaN, as all that is by row, where units touch each other.
        row_k: Pareto k-hat of each datum's factor, `-inf` where it is exact.
        own_k: the same of the factor that is optimal for it, where `row_k` is above 0.7.
        influence_k: k-hat of $1/p(x_n\mid\theta)$ under $q(\theta)$; data where it is above 0.7
            move the globals by more than importance weighting can undo. NaN where not measured.
        global_k: k-hat of $q(\theta)$ with the locals summed out, or of all latents together where
            units touch each other; NaN where it was not measured.
        elbo: the evidence lower bound of the fit, in nats, total.
        evidence: log p(x) by importance weighting of the globals, with the locals summed out;
            None where it was not measured, or where k-hat says that its mean is not to be trusted.
        weight_variance: variance of the log weights behind `global_k`, in nats squared; NaN where
            not measured. Where it is small q is half of it from the posterior.
        outside: share of the draws behind `global_k` at which the log joint is not finite, such as
            where an ODE solver gives up; NaN where not measured.
        spread: moments of the globals beside what corrects them; None where not measured.
        missed: modes where q has no mass, as far as climbs from several points find them; only of
            models without locals.
        worst: the data with the largest gaps.
        collapse: what each latent coordinate learns from the data.
        held_out: the same on held-out data; None if there were none.
        reference_gain: ELBO of the reference less that of the fit, on common draws, in nats, total;
            None if there was none. Of `refine(fitted)` it is the gap with q(theta) optimised again.
        unsettled: data whose own optimum was not found; their gaps are lower bounds.
        steps: gap against number of steps, of a function that takes steps; None for others.
        next_steps: calls that would help.
        status: how the fit ended.
        function: the inference function of the fit, with all its choices.
        is_start: whether its outputs are starts of steps still to be taken; see `SemiAmortized`.
        seconds: time it took.
    """

    finding: Finding
    size: int
    tolerance: float
    gap: Estimate
    row_gaps: Float[np.ndarray, " rows"]
    row_gap_ses: Float[np.ndarray, " rows"]
    row_k: Float[np.ndarray, " rows"]
    own_k: Float[np.ndarray, " rows"]
    influence_k: Float[np.ndarray, " rows"]
    global_k: float
    elbo: Estimate
    evidence: Estimate | None
    weight_variance: float
    outside: float
    spread: Spread | None
    missed: tuple[MissedMode, ...]
    worst: tuple[WorstRow, ...]
    collapse: Collapse
    held_out: HeldOut | None
    reference_gain: Estimate | None
    unsettled: int
    steps: StepGaps | None
    next_steps: tuple[str, ...]
    status: Status
    function: str
    is_start: bool
    seconds: float

    @property
    def gap_per_datum(self) -> Estimate:
        """The gap divided by the number of data, in nats per datum."""
        return Estimate(self.gap.mean / self.size, self.gap.se / self.size, "nats per datum")

    @property
    def untrusted(self) -> int:
        """Number of data with k-hat above 0.7."""
        return int(np.sum(self.row_k > TRUSTED))

    @property
    def blamed_on_function(self) -> int:
        """Number of data with k-hat above 0.7 that a factor of their own would bring below."""
        return int(np.sum((self.row_k > TRUSTED) & (self.own_k <= TRUSTED)))

    @property
    def influential(self) -> int:
        """Number of data that the globals hang on: see whether the model fits these data."""
        return int(np.sum(self.influence_k - influence_error(TRUSTED) > TRUSTED))

    @property
    def by_row(self) -> bool:
        """Whether units could be measured one by one."""
        return not np.isnan(self.row_gaps).all()

    @property
    def has_locals(self) -> bool:
        """Whether there are latents of rows, and with them a gap and a function to speak of."""
        return bool(self.collapse.names)

    @property
    def trusted(self) -> bool:
        """Whether nothing was found that speaks against q."""
        return self.finding in (Finding.EXACT, Finding.FINE)

    @property
    def inference_gap(self) -> Estimate | None:
        """Evidence less ELBO: the amortization and the approximation gap together, in nats."""
        if self.evidence is None:
            return None
        se = math.hypot(self.evidence.se, self.elbo.se)
        return Estimate(self.evidence.mean - self.elbo.mean, se)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON; what is not finite is None."""
        return {
            "finding": self.finding.name,
            "size": self.size,
            "tolerance": self.tolerance,
            "gap": _plain_estimate(self.gap),
            "gap_per_datum": _plain_estimate(self.gap_per_datum),
            "row_gaps": [_plain(v) for v in self.row_gaps.tolist()],
            "row_gap_ses": [_plain(v) for v in self.row_gap_ses.tolist()],
            "row_k": [_plain(v) for v in self.row_k.tolist()],
            "own_k": [_plain(v) for v in self.own_k.tolist()],
            "influence_k": [_plain(v) for v in self.influence_k.tolist()],
            "global_k": _plain(self.global_k),
            "elbo": _plain_estimate(self.elbo),
            "evidence": None if self.evidence is None else _plain_estimate(self.evidence),
            "weight_variance": _plain(self.weight_variance),
            "outside": _plain(self.outside),
            "spread": None if self.spread is None else self.spread.to_dict(),
            "missed": [mode.to_dict() for mode in self.missed],
            "worst": [
                {
                    "index": row.index,
                    "gap": _plain(row.gap),
                    "k": _plain(row.k),
                    "inputs": {n: _plain(v) for n, v in row.inputs.items()},
                }
                for row in self.worst
            ],
            "collapse": self.collapse.to_dict(),
            "held_out": None if self.held_out is None else self.held_out.to_dict(),
            "reference_gain": (
                None if self.reference_gain is None else _plain_estimate(self.reference_gain)
            ),
            "unsettled": self.unsettled,
            "steps": None if self.steps is None else self.steps.to_dict(),
            "next_steps": list(self.next_steps),
            "status": self.status.name,
            "function": self.function,
            "is_start": self.is_start,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        return "\n".join(_sentences(self))


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain_estimate(estimate: Estimate) -> dict[str, Any]:
    return {"mean": _plain(estimate.mean), "se": _plain(estimate.se), "unit": estimate.unit}


def _sentences(diagnosis: Diagnosis) -> list[str]:
    per_datum = diagnosis.gap_per_datum
    lines = [f"{diagnosis.finding.name}: {_answer(diagnosis)}."]
    if diagnosis.has_locals:
        lines.append(
            f"  gap      {diagnosis.gap.mean:.4g} ± {diagnosis.gap.se:.1g} nats in total, "
            f"{per_datum.mean:.2g} ± {per_datum.se:.1g} per datum "
            f"(tolerance {diagnosis.tolerance:g})"
        )
    if diagnosis.steps is not None:
        lines.append(f"  steps    {diagnosis.steps}")
    lines += [f"  k-hat    {_k_sentence(diagnosis)}", f"  elbo     {diagnosis.elbo}"]
    if diagnosis.evidence is not None:
        inference = diagnosis.inference_gap
        assert inference is not None  # the evidence was measured
        lines.append(
            f"  evidence {diagnosis.evidence}, so q is {inference.mean:.3g} nats from the posterior"
        )
    if diagnosis.reference_gain is not None:
        gain = diagnosis.reference_gain
        lines.append(f"  other    the reference is {gain.mean:.4g} ± {gain.se:.1g} nats ahead")
    if diagnosis.held_out is not None:
        lines.append(f"  held out {diagnosis.held_out}")
    if diagnosis.has_locals:
        lines.append(f"  latents  {diagnosis.collapse}")
    lines += [f"  note     {note}" for note in _notes(diagnosis)]
    if diagnosis.finding is Finding.FUNCTION_TOO_SMALL:
        for row in diagnosis.worst[:3]:
            inputs = ", ".join(f"{n} = {v:.3g}" for n, v in list(row.inputs.items())[:4])
            place = f", at {inputs}" if inputs else ""
            lines.append(f"  worst    datum {row.index}: {row.gap:.3g} nats{place}")
    lines += [f"  next     {step}" for step in diagnosis.next_steps]
    lines.append(f"  took     {diagnosis.seconds:.1f} s")
    return lines


def _answer(diagnosis: Diagnosis) -> str:
    if diagnosis.finding is Finding.FINE and not diagnosis.has_locals:
        return "q fits the posterior"
    return diagnosis.finding.value


def _notes(diagnosis: Diagnosis) -> list[str]:
    notes: list[str] = []
    if diagnosis.is_start:
        notes.append("the function was trained as a start of steps: refine before you use it")
    if diagnosis.status is not Status.CONVERGED:
        notes.append(f"the fit ended with {diagnosis.status.name}: {diagnosis.status.value}")
    if diagnosis.outside > 0.0:
        share = f"{100.0 * diagnosis.outside:.2g} %"
        notes.append(f"the log joint is not finite at {share} of the draws of q")
    if diagnosis.steps is not None and diagnosis.steps.cut.any_step:
        notes.append(str(diagnosis.steps.cut))
    notes += [f"q misses {mode}" for mode in diagnosis.missed]
    if diagnosis.unsettled:
        notes.append(f"the own optimum of {diagnosis.unsettled} data was not found")
    if diagnosis.untrusted:
        function = diagnosis.blamed_on_function
        family = diagnosis.untrusted - function
        notes.append(
            f"of the {diagnosis.untrusted} data above {TRUSTED} a factor of their own would bring "
            f"{function} below (the function's fault); the other {family} no factor of this family "
            f"(the approximation's)"
        )
    if diagnosis.spread is not None:
        notes += diagnosis.spread.notes
    if diagnosis.influential:
        largest = int(np.nanargmax(diagnosis.influence_k))
        notes.append(
            f"the globals hang on {diagnosis.influential} data, most on datum {largest}: does the "
            f"model fit them?"
        )
    inactive = [
        n for n, a in zip(diagnosis.collapse.names, diagnosis.collapse.active, strict=True) if not a
    ]
    if inactive and diagnosis.size > 1:  # one datum has nothing to vary with
        more = ", …" if len(inactive) > 4 else ""
        notes.append(f"q of {', '.join(inactive[:4])}{more} hardly depends on the data")
    return notes


def _k_sentence(diagnosis: Diagnosis) -> str:
    if not diagnosis.by_row:
        if math.isnan(diagnosis.global_k):
            return "not measured"
        exact = "exact" if diagnosis.global_k == EXACT else f"{diagnosis.global_k:.2f}"
        even = ""
        if 0.0 < diagnosis.weight_variance <= EVEN and diagnosis.global_k > TRUSTED:
            # The tail of weights that hardly differ is no reason to distrust them.
            even = f", whose log weights differ by {math.sqrt(diagnosis.weight_variance):.2g} nats"
        where = ", where q has mass" if diagnosis.missed else ""
        return f"{exact}, of all latents together{even}{where}"
    if (diagnosis.row_k == EXACT).all():
        rows = "all data exact"
    else:
        finite = diagnosis.row_k[np.isfinite(diagnosis.row_k)]
        largest = f"largest {finite.max():.2f}" if len(finite) else "none finite"
        rows = f"{diagnosis.untrusted} of {diagnosis.size} data above {TRUSTED}, {largest}"
    if math.isnan(diagnosis.global_k):
        return f"{rows}; globals not measured"
    exact = diagnosis.global_k == EXACT
    return f"{rows}; globals {'exact' if exact else f'{diagnosis.global_k:.2f}'}"
