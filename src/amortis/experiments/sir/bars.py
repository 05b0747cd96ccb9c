"""What has to hold, beside what was measured."""

import dataclasses
import math

from amortis.experiments.sir.quantities import QUANTITIES, Summaries
from amortis.experiments.sir.reference import OPTIMUM
from amortis.experiments.sir.results import SirResult
from amortis.experiments.sir.run import FLOW, FULL_RANK, MEAN_FIELD

MEAN_BAR, SD_BAR, KL_BAR = 0.02, 0.01, 0.003
"""Of mean-field fits: sds of a mean of the logarithms, relative error of an sd, nats."""

FLOW_KL, COLD_SECONDS = 0.03, 20.0

_STANDARD_ERRORS = 4.0
"""Of NUTS: ten comparisons fail by chance once in 1500 runs."""


@dataclasses.dataclass(frozen=True)
class Bar:
    """One requirement.

    Attributes:
        what: has to hold.
        expected: in words.
        measured: in words.
        holds: whether it does.
    """

    what: str
    expected: str
    measured: str
    holds: bool


def bars(result: SirResult) -> list[Bar]:
    """All requirements; those of families that were not run are left out.

    Args:
        result: what was measured.
    """
    names = {family.name for family in result.families}
    found = _seed_bars(result) if result.seeds else []
    if MEAN_FIELD in names:
        cold = result.family(MEAN_FIELD).cold
        found.append(
            Bar("mean-field, cold", f"≤ {COLD_SECONDS:g} s", f"{cold:.1f} s", cold <= COLD_SECONDS)
        )
    for name, low, high in (
        (MEAN_FIELD, OPTIMUM.kl - KL_BAR, OPTIMUM.kl + KL_BAR),
        (FULL_RANK, OPTIMUM.full_rank_kl - KL_BAR, OPTIMUM.full_rank_kl + KL_BAR),
        (FLOW, -math.inf, FLOW_KL),
    ):
        if name in names:
            family = result.family(name)
            # Measured by draws: as many standard errors as make a false alarm unlikely.
            slack = _STANDARD_ERRORS * family.kl_se
            expected = f"≤ {high:.3f}" if math.isinf(low) else f"{low:.4f} to {high:.4f}"
            holds = low - slack <= family.kl <= high + slack
            measured = f"{family.kl:.4f} ± {family.kl_se:.4f}"
            found.append(Bar(f"{name}, KL in nats", expected, measured, holds))
    worst = _worst_of_nuts(result)
    expected = f"within {_STANDARD_ERRORS:g} standard errors of exact"
    found.append(
        Bar("NUTS, means and sds", expected, f"{worst:.1f} at most", worst <= _STANDARD_ERRORS)
    )
    unsolved = sum(family.unsolved for family in result.families) + result.nuts.unsolved
    drawn = sum(family.draws for family in result.families) + result.nuts.draws
    found.append(Bar("draws without a solution", "none", f"{unsolved} of {drawn}", unsolved == 0))
    return found


def _seed_bars(result: SirResult) -> list[Bar]:
    seeds = result.seeds
    columns = (
        ("means of logarithms", "sd", MEAN_BAR, [seed.mean_error for seed in seeds]),
        ("sds of logarithms", "relative", SD_BAR, [seed.sd_error for seed in seeds]),
        ("KL by quadrature", "nats", KL_BAR, [abs(seed.kl - OPTIMUM.kl) for seed in seeds]),
    )
    found: list[Bar] = []
    for what, unit, bar, errors in columns:
        within = sum(error <= bar for error in errors)
        measured = f"{within} of {len(seeds)}, largest {max(errors):.4f}"
        expected = f"within {bar:g} ({unit}) of the optimum, every seed"
        found.append(Bar(f"mean-field, {what}", expected, measured, within == len(seeds)))
    return found


def _worst_of_nuts(result: SirResult) -> float:
    nuts, exact = result.nuts, result.exact
    return max(
        max(
            abs(nuts.summaries[name].mean - exact[name].mean) / nuts.mean_errors[name],
            abs(nuts.summaries[name].sd - exact[name].sd) / nuts.sd_errors[name],
        )
        for name in QUANTITIES
    )


MEANS_AGREE, SDS_AGREE, QUANTILES_AGREE = 0.1, 0.08, 0.2
"""Sds of a mean, relative error of an sd, sds of a quantile: three standard errors of a thousand
independent draws."""


def disagreements(found: Summaries, expected: Summaries) -> list[str]:
    """Where two columns differ by more than printed digits and draws explain, in words.

    Args:
        found: what was measured.
        expected: what is printed; quantiles that are NaN are not compared.
    """
    words: list[str] = []
    for name in QUANTITIES:
        ours, theirs = found[name], expected[name]
        if abs(ours.mean - theirs.mean) > MEANS_AGREE * theirs.sd:
            words.append(f"mean of {name} by {(ours.mean - theirs.mean) / theirs.sd:+.2f} sd")
        if abs(ours.sd / theirs.sd - 1.0) > SDS_AGREE:
            words.append(f"sd of {name} by {100 * (ours.sd / theirs.sd - 1.0):+.0f} %")
        for label in ("q5", "q95"):
            apart = (getattr(ours, label) - getattr(theirs, label)) / theirs.sd
            if abs(apart) > QUANTILES_AGREE:
                words.append(f"{label} of {name} by {apart:+.2f} sd")
    return words
