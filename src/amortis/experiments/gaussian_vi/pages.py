"""The page of each experiment: what is done, what came out, tables and pictures."""

import math

from amortis.experiments.gaussian_vi.gaussian_target import BAR, JUDGED, TargetResult, rows_of
from amortis.experiments.gaussian_vi.gaussian_target_figure import target_figure
from amortis.experiments.gaussian_vi.location_fit import BASES
from amortis.experiments.gaussian_vi.stochastic import NEAR, StochasticResult, StochasticRow
from amortis.experiments.gaussian_vi.stochastic_figure import stochastic_figure
from amortis.experiments.gaussian_vi.symmetry import LIBRARY, SymmetryResult, SymmetryRow
from amortis.experiments.gaussian_vi.symmetry_figure import errors_figure, fits_figure
from amortis.experiments.sheet import Sheet, Table, known
from amortis.report import Column

_TARGET = r"""Randomly rotated Gaussian posteriors with precision $\Lambda$, whose eigenvalues are
spread evenly on a logarithmic scale. The best factorized Gaussian has the exact means, variances
$1/\Lambda_{ii}$, and $KL = -\tfrac12(\log\det\Lambda - \sum_i\log\Lambda_{ii})$, which is also by
how much its entropy is too small (STAT 547, eq. 4). Linear response of that fit, and a full-rank
Gaussian, recover the truth."""

_SYMMETRY = r"""If p is even about $\nu$ and q is a location family with an even base, $\nu$ is a
stationary point of KL(q‖p), and the minimum where log p is concave (STAT 547, theorem 2; Margossian
& Saul, 2025). The library fits the Gaussian q in 32 bit. It has no Laplace and no Student-t factor
(5 degrees of freedom here): these, and the Gaussian once more, are found by quadrature of the exact
KL in double precision, with locations and scales free, from two starts away from the mean. Errors
are in the target's sds; where there is none (Cauchy), in the interquartile range over 1.349."""

_STOCHASTIC = r"""A factorized Gaussian is fitted in ten dimensions to a correlated Gaussian and to
a logistic regression of 200 rows. Robbins and Monro's steps are
$\rho_t = \eta_0(1 + t/10)^{-\kappa}$; constant rates and Adam stand beside them, all without
averaging, each with the best of its first rates on the first seed. L-BFGS on fixed draws and
`FreshDraws()` choose everything themselves. The gap to the best ELBO is exact: in closed form, or
by Gauss and Hermite's rule. One evaluation is one log density with its gradient."""


def target_sheet(result: TargetResult) -> Sheet:
    """The page of `gaussian-target`."""
    columns = (
        Column("d"),
        Column("condition", form=".0e"),
        Column("method"),
        Column("mean error", "sds", ".2g"),
        Column("sd error", form=".2g"),
        Column("sd / true sd", form=".3g"),
        Column("KL", "nats", ".4g"),
        Column("KL to expect", "nats", ".4g"),
        Column("evaluations"),
        Column("time", "s", ".1f"),
        Column("status"),
    )
    rows = [
        [
            row.dimension,
            row.condition,
            row.method,
            row.mean_error,
            row.sd_error,
            row.sd_share,
            known(row.kl),
            known(row.expected_kl),
            row.evaluations,
            row.seconds,
            row.status.lower(),
        ]
        for row in result.rows
    ]
    caption = (
        r"Errors are the largest over coordinates; mean-field's sd error is from "
        r"$1/\sqrt{\Lambda_{ii}}$, all others' from the truth. Seconds compile."
    )
    return Sheet(
        "gaussian-target",
        "Gaussian posteriors, factorized and not",
        _TARGET,
        _target_words(result),
        [Table(caption, columns, rows)],
        {"Understatement of entropy and sds, and errors": target_figure(result)},
        result,
    )


def _target_words(result: TargetResult) -> list[str]:
    words: list[str] = []
    for method in JUDGED:
        rows = rows_of(result, method)
        worst = max(rows, key=lambda row: max(row.mean_error, row.sd_error))
        inside = sum(row.meets_bar for row in rows)
        words.append(
            f"{method}: {inside} of {len(rows)} targets within {BAR:.0%} in {result.precision} "
            f"bit; the worst is d = {worst.dimension} at condition {worst.condition:.0e}, with "
            f"means within {worst.mean_error:.1g} sds and sds within {worst.sd_error:.1g}."
        )
    low = min(rows_of(result, "mean-field"), key=lambda row: row.sd_share)
    words.append(
        f"Mean-field's sds are {low.sd_share:.2g} of the truth at d = {low.dimension} and "
        f"condition {low.condition:.0e}, and its entropy is {low.kl:.4g} nats too small."
    )
    return words


def symmetry_sheet(result: SymmetryResult) -> Sheet:
    """The page of `symmetry`."""
    columns = (
        Column("target"),
        Column("symmetric"),
        Column("q"),
        Column("location error", "sds", ".2g"),
        Column("scale"),
        Column("KL", "nats", ".4f"),
        Column("its se", "nats", ".1g"),
        Column("least KL at the center", "nats", ".4f"),
        Column("correlation", form=".3f"),
        Column("time", "s", ".1f"),
    )
    rows = [
        [
            row.target,
            "yes" if row.symmetric else "no",
            row.q,
            known(row.error),
            ", ".join(f"{v:.3g}" for v in row.scale) or "–",
            known(row.kl),
            row.kl_se or None,
            known(row.center_kl),
            known(row.correlation),
            row.seconds,
        ]
        for row in result.rows
    ]
    caption = "A dash is a KL that is infinite for every q of the family, or was not looked for."
    return Sheet(
        "symmetry",
        "Where the mean is recovered, and where not",
        _SYMMETRY,
        _symmetry_words(result),
        [Table(caption, columns, rows)],
        {
            "Targets (gray) and the q's found by quadrature (rings: one scale)": fits_figure(
                result
            ),
            "Distance of the location from the mean or center; skewed targets below": (
                errors_figure(result)
            ),
        },
        result,
    )


def _symmetry_words(result: SymmetryResult) -> list[str]:
    def worst(rows: list[SymmetryRow]) -> float:
        return max((row.error for row in rows), default=math.nan)

    symmetric = [row for row in result.rows if row.symmetric]
    split = list(dict.fromkeys(row.target for row in symmetric if not row.recovered))
    kept = [row for row in symmetric if row.target not in split]
    words = [
        f"Recovered with every q, heavy tails or light: of the symmetric targets but "
        f"{', '.join(split) or 'none'} all locations are within "
        f"{worst([r for r in kept if r.q in BASES]):.1g} sds by quadrature and "
        f"{worst([r for r in kept if r.q not in BASES]):.1g} sds by the library in 32 bit."
    ]
    for row in symmetric:
        if row.target in split and row.q == "Gaussian":
            words.append(
                f"{row.target}: the center is a stationary point, but no minimum: q takes one "
                f"mode, {row.error:.2g} sds off, at {row.kl:.3f} nats where the best q at the "
                f"center has {row.center_kl:.3f}. log p is not concave, which the theorem asks."
            )
    skewed = [row for row in result.rows if not row.symmetric and row.q in BASES]
    off = [row for row in skewed if math.isfinite(row.error)]
    if off:
        low, high = min(r.error for r in off), max(r.error for r in off)
        words.append(f"Of skewed targets every q misses the mean, by {low:.2g} to {high:.2g} sds.")
    full = [row for row in result.rows if row.q == f"{LIBRARY}, full-rank"]
    words += [
        f"{row.target}: the full-rank Gaussian has correlation {row.correlation:.3f} "
        f"(to expect: 0.7), though its tails are wrong."
        for row in full
    ]
    return words


def stochastic_sheet(result: StochasticResult) -> Sheet:
    """The page of `stochastic`."""
    columns = (
        Column("problem"),
        Column("method"),
        Column("draws per step"),
        Column("first rate"),
        Column("gap at the end", "nats", ".2g"),
        Column("evaluations to 0.1 nats", form=".0f"),
        Column("seconds to 0.1 nats", form=".3f"),
    )
    rows = [
        [
            row.problem,
            row.method,
            "own" if row.draws is None else str(row.draws),
            "own" if row.rate is None else f"{row.rate:g}",
            known(row.ending),
            known(row.to_near("evaluations")),
            known(row.to_near("seconds")),
        ]
        for row in result.rows
    ]
    caption = (
        f"Medians of {result.size.seeds} seeds; {result.size.budget} evaluations at most, but for "
        f"L-BFGS, which ends by itself. A dash: not there by then, and for good."
    )
    return Sheet(
        "stochastic",
        "What a nat costs",
        _STOCHASTIC,
        _stochastic_words(result),
        [Table(caption, columns, rows)],
        {"Gap to the best ELBO; one line per seed, dotted at 0.1 nats": stochastic_figure(result)},
        result,
    )


def _stochastic_words(result: StochasticResult) -> list[str]:
    words: list[str] = []
    for problem in dict.fromkeys(row.problem for row in result.rows):
        rows = [row for row in result.rows if row.problem == problem]
        tuned = [row for row in rows if row.rate is not None]
        fixed = next(row for row in rows if row.method.startswith("L-BFGS"))
        best = min(tuned, key=lambda row: (row.to_near("evaluations"), row.ending))
        precise = min(tuned, key=lambda row: row.ending)
        words.append(
            f"{problem}: L-BFGS on fixed draws is within {NEAR} nats after {_arrival(fixed)} and "
            f"ends at {fixed.ending:.1g}; the first of the tuned schedules, {_named(best)}, after "
            f"{_arrival(best)}; the closest at the end is {_named(precise)}, {precise.ending:.1g} "
            f"nats off."
        )
    tuned = [row for row in result.rows if row.rate is not None]
    least = [
        f"{draws}: {min(row.ending for row in tuned if row.draws == draws):.2g}"
        for draws in result.size.draws
    ]
    words.append(
        f"At equal evaluations the best of the schedules ends, by draws per step, at "
        f"{', '.join(least)} nats; a constant rate stays at the floor that its noise sets."
    )
    return words


def _arrival(row: StochasticRow) -> str:
    evaluations, seconds = row.to_near("evaluations"), row.to_near("seconds")
    if math.isinf(evaluations):
        return "more than its budget"
    return f"{evaluations:.0f} evaluations ({seconds:.3f} s)"


def _named(row: StochasticRow) -> str:
    return f"{row.method}, {row.draws} per step"
