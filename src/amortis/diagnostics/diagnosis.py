"""`Diagnosis`: what `diagnose` found, as a frozen record that prints as an answer."""

import dataclasses
import enum
import math
from typing import Any

import numpy as np
from jaxtyping import Float

from amortis.diagnostics.pareto import EXACT, TRUSTED
from amortis.fitting import Estimate


class Finding(enum.Enum):
    """What limits the fit; each member's value says it in one sentence."""

    EXACT = "q is the posterior: all importance weights are equal"
    FINE = "the function is as good as a factor per datum, and the factors fit the posterior"
    FUNCTION_TOO_SMALL = "the inference function is too small here: a factor per datum is better"
    FAMILY_TOO_NARROW = "the function is good enough, but its factors do not fit the posterior"
    GLOBALS_TOO_NARROW = "the locals are fine, but q of the globals does not fit the posterior"
    UNCERTAIN = "the gap is too noisy to say: ask for more draws"


@dataclasses.dataclass(frozen=True)
class WorstRow:
    """A datum that the function serves badly.

    Attributes:
        index: its position in the data.
        gap: what a factor of its own would gain, in nats.
        k: its k-hat.
        inputs: what the function read, by name.
    """

    index: int
    gap: float
    k: float
    inputs: dict[str, float]


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
        row_k: Pareto k-hat of each datum's factor, `-inf` where it is exact.
        global_k: k-hat of $q(\theta)$ with the locals summed out; NaN where it was not measured.
        elbo: the evidence lower bound of the fit, in nats, total.
        evidence: log p(x) by importance weighting, a lower bound in expectation; None where it
            was not measured.
        worst: the data with the largest gaps.
        unsettled: data whose own optimum was not found; their gaps are lower bounds.
        next_steps: calls that would help.
        seconds: time it took.
    """

    finding: Finding
    size: int
    tolerance: float
    gap: Estimate
    row_gaps: Float[np.ndarray, " rows"]
    row_gap_ses: Float[np.ndarray, " rows"]
    row_k: Float[np.ndarray, " rows"]
    global_k: float
    elbo: Estimate
    evidence: Estimate | None
    worst: tuple[WorstRow, ...]
    unsettled: int
    next_steps: tuple[str, ...]
    seconds: float

    @property
    def gap_per_datum(self) -> Estimate:
        """The gap divided by the number of data, in nats per datum."""
        return Estimate(self.gap.mean / self.size, self.gap.se / self.size, "nats per datum")

    @property
    def untrusted(self) -> int:
        """Number of data with k-hat above 0.7."""
        return int(np.sum(~(self.row_k <= TRUSTED)))

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
            "global_k": _plain(self.global_k),
            "elbo": _plain_estimate(self.elbo),
            "evidence": None if self.evidence is None else _plain_estimate(self.evidence),
            "worst": [
                {
                    "index": row.index,
                    "gap": _plain(row.gap),
                    "k": _plain(row.k),
                    "inputs": {n: _plain(v) for n, v in row.inputs.items()},
                }
                for row in self.worst
            ],
            "unsettled": self.unsettled,
            "next_steps": list(self.next_steps),
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
    lines = [
        f"{diagnosis.finding.name}: {diagnosis.finding.value}.",
        f"  gap      {diagnosis.gap.mean:.4g} ± {diagnosis.gap.se:.1g} nats in total, "
        f"{per_datum.mean:.2g} ± {per_datum.se:.1g} per datum (tolerance {diagnosis.tolerance:g})",
        f"  k-hat    {_k_sentence(diagnosis)}",
        f"  elbo     {diagnosis.elbo}",
    ]
    if diagnosis.evidence is not None:
        inference = diagnosis.inference_gap
        assert inference is not None  # the evidence was measured
        lines.append(
            f"  evidence {diagnosis.evidence}, so q is {inference.mean:.3g} nats from the posterior"
        )
    if diagnosis.unsettled:
        lines.append(f"  note     the own optimum of {diagnosis.unsettled} data was not found")
    if diagnosis.finding is Finding.FUNCTION_TOO_SMALL:
        for row in diagnosis.worst[:3]:
            inputs = ", ".join(f"{n} = {v:.3g}" for n, v in list(row.inputs.items())[:4])
            lines.append(f"  worst    datum {row.index}: {row.gap:.3g} nats, at {inputs}")
    lines += [f"  next     {step}" for step in diagnosis.next_steps]
    lines.append(f"  took     {diagnosis.seconds:.1f} s")
    return lines


def _k_sentence(diagnosis: Diagnosis) -> str:
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
