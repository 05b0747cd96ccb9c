r"""Gaussian posteriors: means exact, variances $1/\Lambda_{ii}$, and what recovers the truth."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Float

import amortis
from amortis._types import RandomKey
from amortis.experiments.gaussian_vi.gaussian import Gaussian, moments, random_gaussian

BAR = 0.01
"""Most error of means, in true sds, and of sds, relative, over all coordinates."""

JUDGED = ("mean-field", "linear response", "full-rank")

_RANK, _ELBO_DRAWS = 5, 256


@dataclasses.dataclass(frozen=True)
class TargetSize:
    """Which targets are fitted.

    Attributes:
        dimensions: their dimensions.
        conditions: condition numbers of their precisions.
        most_beside: largest dimension at which low-rank, Laplace and batch-and-match are run too.
    """

    dimensions: tuple[int, ...] = (2, 5, 20, 50, 200)
    conditions: tuple[float, ...] = (1e1, 1e3, 1e6)
    most_beside: int = 50


SHORT = TargetSize(dimensions=(2, 5), conditions=(1e1, 1e3), most_beside=2)


@dataclasses.dataclass(frozen=True)
class TargetRow:
    r"""One fit of one target.

    Attributes:
        dimension: of the target.
        condition: condition number of its precision.
        method: how it was fitted.
        status: how the fit ended.
        mean_error: largest error of a mean, in true sds.
        sd_error: largest relative error of an sd: of mean-field from $1/\sqrt{\Lambda_{ii}}$, of
            all others from the truth.
        sd_share: sd as a share of the true sd, the geometric mean over coordinates.
        kl: KL from the target, in nats; closed form of mean-field, else minus the ELBO.
        kl_se: its standard error; zero where it is a closed form.
        expected_kl: the KL of the best q of the family, in nats; NaN where it is not known.
        evaluations: of the objective, of the log density, or of its scores.
        seconds: of the fit, compilation included.
    """

    dimension: int
    condition: float
    method: str
    status: str
    mean_error: float
    sd_error: float
    sd_share: float
    kl: float
    kl_se: float
    expected_kl: float
    evaluations: int
    seconds: float

    @property
    def meets_bar(self) -> bool:
        """Whether means and sds are within `BAR`."""
        return self.mean_error <= BAR and self.sd_error <= BAR


@dataclasses.dataclass(frozen=True)
class TargetResult:
    """All fits.

    Attributes:
        size: what was asked for.
        precision: bits of a number in the fits.
        rows: one for each target and method.
    """

    size: TargetSize
    precision: int
    rows: tuple[TargetRow, ...]


def run_gaussian_target(
    size: TargetSize, *, key: RandomKey, tell: Callable[[str], None] = print
) -> TargetResult:
    """Fit every target with every method.

    Args:
        size: which targets.
        key: random key of the fits; the targets are always the same.
        tell: called with a line after each target.
    """
    rows: list[TargetRow] = []
    for dimension in size.dimensions:
        for condition in size.conditions:
            target = random_gaussian(dimension, condition, seed=dimension)
            found = _mean_field(target, condition, key)
            beside = dimension <= size.most_beside
            found += [
                _full(target, condition, name, family, key)
                for name, family in _families(dimension, beside)
            ]
            rows += found
            missed = [row.method for row in found if row.method in JUDGED and not row.meets_bar]
            told = f"outside the bar: {', '.join(missed)}" if missed else "within the bar"
            tell(f"gaussian-target, d = {dimension}, condition {condition:.0e}: {told}")
    bits = int(jax.numpy.finfo(jax.numpy.result_type(float)).bits)
    return TargetResult(size, bits, tuple(rows))


Family = (
    amortis.FullRank
    | amortis.LowRank
    | amortis.Laplace
    | amortis.BatchAndMatch
    | amortis.DiagonalNormal
)


def _families(dimension: int, beside: bool) -> list[tuple[str, Family]]:
    found: list[tuple[str, Family]] = [("full-rank", amortis.FullRank())]
    if beside:
        rank = min(_RANK, dimension)
        found += [
            ("low-rank", amortis.LowRank(rank)),
            ("Laplace", amortis.Laplace()),
            ("batch-and-match", amortis.BatchAndMatch()),
        ]
    return found


def _mean_field(target: Gaussian, condition: float, key: RandomKey) -> list[TargetRow]:
    """The factorized fit, and the sds that its linear response gives."""
    started = time.perf_counter()
    fit = amortis.fit(target.model(), key=key, globals_=amortis.DiagonalNormal())
    seconds = time.perf_counter() - started
    mean, sds = moments(fit)
    own = _row(target, condition, "mean-field", fit, (mean, sds), target.factorized_sds, seconds)
    kl = target.kl_of_factorized(mean, sds)
    own = dataclasses.replace(own, kl=kl, kl_se=0.0, expected_kl=target.factorized_kl)
    started = time.perf_counter()
    try:
        responding = np.sqrt(np.diagonal(fit.covariance()))
    except amortis.AmortisError:  # in 32 bit the Hessian of an ill target may not be definite
        responding = np.full(target.dimension, np.nan)
    seconds += time.perf_counter() - started
    response = _row(
        target, condition, "linear response", fit, (mean, responding), target.sds, seconds
    )
    return [own, dataclasses.replace(response, kl=math.nan, kl_se=math.nan)]


def _full(
    target: Gaussian, condition: float, name: str, family: Family, key: RandomKey
) -> TargetRow:
    started = time.perf_counter()
    fit = amortis.fit(target.model(), key=key, globals_=family)
    seconds = time.perf_counter() - started
    row = _row(target, condition, name, fit, moments(fit), target.sds, seconds)
    elbo = fit.elbo(key=jax.random.fold_in(key, 1), draws=_ELBO_DRAWS)
    # A target that is in the family is recovered; what a low rank leaves has no closed form.
    exact = name != "low-rank" or target.dimension <= _RANK
    return dataclasses.replace(
        row, kl=-elbo.mean, kl_se=elbo.se, expected_kl=0.0 if exact else math.nan
    )


def _row(
    target: Gaussian,
    condition: float,
    method: str,
    fit: amortis.Fit,
    found: tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]],
    wanted: Float[np.ndarray, " d"],
    seconds: float,
) -> TargetRow:
    mean, sds = found
    return TargetRow(
        dimension=target.dimension,
        condition=condition,
        method=method,
        status=fit.status.name,
        mean_error=float(np.abs((mean - target.mean) / target.sds).max()),
        sd_error=float(np.abs(sds / wanted - 1.0).max()),
        sd_share=float(np.exp(np.log(sds / target.sds).mean())),
        kl=math.nan,
        kl_se=math.nan,
        expected_kl=math.nan,
        evaluations=int(fit.history.iterations[-1]),
        seconds=seconds,
    )


def rows_of(result: TargetResult, method: str) -> Sequence[TargetRow]:
    """The rows of one method."""
    return [row for row in result.rows if row.method == method]
