"""All families on the SIR model, NUTS, and mean-field fits from several seeds."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

import amortis
from amortis.experiments.sir.exact import BestGaussian, ExactSir, exact_sir
from amortis.experiments.sir.model import bound_sir
from amortis.experiments.sir.nuts import run_nuts
from amortis.experiments.sir.quantities import QUANTITIES, Summary, of_draws
from amortis.experiments.sir.results import FamilyResult, SeedResult, SirResult

MEAN_FIELD, LINEAR_RESPONSE, FULL_RANK = "mean-field", "mean-field, linear response", "full-rank"
FLOW = "flow"

FAMILIES: Mapping[str, Any] = {
    MEAN_FIELD: amortis.DiagonalNormal(),
    FULL_RANK: amortis.FullRank(),
    FLOW: amortis.Flow(),
    "Laplace": amortis.Laplace(),
    "Pathfinder, 1 path": amortis.Pathfinder(paths=1),
    "Pathfinder, 20 paths": amortis.Pathfinder(paths=20),
    "batch and match": amortis.BatchAndMatch(),
}
"""By name, what `fit` is given as `globals_`."""

SEEDS = 10
_DRAWS, _ELBO_DRAWS, _PREDICTED = 20_000, 2**16, 4000
_BAND = (0.05, 0.5, 0.95)

Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class SirRun:
    """What was measured, with the fits behind it.

    Attributes:
        result: the numbers.
        exact: the posterior on its grid.
        fits: by family.
    """

    result: SirResult
    exact: ExactSir
    fits: Mapping[str, amortis.Fit]


def run_sir(
    *,
    key: Key[Array, ""],
    seeds: int = SEEDS,
    families: Mapping[str, Any] = FAMILIES,
    tell: Tell = print,
) -> SirRun:
    """Fit every family twice, run NUTS, and fit the mean-field Gaussian from several seeds.

    Compiled functions are forgotten before each family, so that its first fit is cold.

    Args:
        key: random key.
        seeds: mean-field fits.
        families: by name; the mean-field one must be among them.
        tell: is given a line about what is being done.

    Raises:
        MissingDependencyError: diffrax, or what a family needs, is not installed.
    """
    model, exact = bound_sir(), exact_sir()
    optimum = exact.mean_field()
    fits: dict[str, amortis.Fit] = {}
    found: list[FamilyResult] = []
    curves: dict[str, tuple[tuple[float, ...], ...]] = {}
    for i, (name, family) in enumerate(families.items()):
        tell(f"SIR: {name}")
        family_key = jax.random.fold_in(key, i)
        fit, measured = _measured(model, name, family, exact.evidence, family_key)
        fits[name] = fit
        found.append(measured)
        if name in (MEAN_FIELD, FULL_RANK, FLOW):
            curves[name] = _predicted(fit, family_key)
        if name == MEAN_FIELD:
            found.append(_linear_response(fit, measured))
    tell("SIR: NUTS")
    nuts = run_nuts(jax.random.fold_in(key, len(families)))
    tell(f"SIR: {MEAN_FIELD} from {seeds} seeds")
    tried = tuple(_seed(model, seed, exact, optimum) for seed in range(seeds))
    result = SirResult(exact.summaries, exact.evidence, tuple(found), nuts, tried, curves)
    return SirRun(result, exact, fits)


def _measured(
    model: amortis.LatentModel, name: str, family: Any, evidence: float, key: Key[Array, ""]
) -> tuple[amortis.Fit, FamilyResult]:
    first_key, second_key, elbo_key, draw_key = jax.random.split(key, 4)
    jax.clear_caches()
    started = time.perf_counter()
    fit = amortis.fit(model, key=first_key, globals_=family)
    cold = time.perf_counter() - started
    started = time.perf_counter()
    amortis.fit(model, key=second_key, globals_=family)
    warm = time.perf_counter() - started
    elbo = fit.elbo(key=elbo_key, draws=_ELBO_DRAWS)
    draws = fit.posterior(key=draw_key, draws=_DRAWS)
    solved = draws["solved"] > 0.5
    return fit, FamilyResult(
        name=name,
        summaries=of_draws({q: draws[q][solved] for q in QUANTITIES}),
        kl=evidence - elbo.mean,
        kl_se=elbo.se,
        k_hat=float(amortis.diagnose(fit, key=elbo_key).global_k),
        cold=cold,
        warm=warm,
        unsolved=int(np.sum(~solved)),
        draws=_DRAWS,
        status=fit.status.name,
    )


def _linear_response(fit: amortis.Fit, mean_field: FamilyResult) -> FamilyResult:
    """The mean-field means with linear response sds; nothing is fitted, so there is no KL."""
    started = time.perf_counter()
    sds = np.sqrt(np.diag(fit.covariance(lambda values: [values[q] for q in QUANTITIES])))
    seconds = time.perf_counter() - started
    return dataclasses.replace(
        mean_field,
        name=LINEAR_RESPONSE,
        summaries={
            q: Summary(mean_field.summaries[q].mean, float(sd))
            for q, sd in zip(QUANTITIES, sds, strict=True)
        },
        kl=math.nan,
        kl_se=math.nan,
        k_hat=math.nan,
        cold=mean_field.cold + seconds,
        warm=math.nan,
    )


def _predicted(fit: amortis.Fit, key: Key[Array, ""]) -> tuple[tuple[float, ...], ...]:
    """Quantiles of replicated counts by day, of draws for which there is a solution."""
    counts = amortis.predict(fit, key=key, draws=_PREDICTED)["cases"]
    solved = fit.posterior(key=key, draws=_PREDICTED)["solved"] > 0.5
    return tuple(
        tuple(float(v) for v in line) for line in np.quantile(counts[solved], _BAND, axis=0)
    )


def _seed(
    model: amortis.LatentModel, seed: int, exact: ExactSir, optimum: BestGaussian
) -> SeedResult:
    started = time.perf_counter()
    fit = amortis.fit(model, key=jax.random.key(seed))
    seconds = time.perf_counter() - started
    mean, sd = (np.asarray(value, np.float64) for value in fit.global_moments())
    best = np.sqrt(np.diagonal(optimum.covariance))
    return SeedResult(
        seed=seed,
        mean_error=float(np.abs((mean - optimum.mean) / best).max()),
        sd_error=float(np.abs(sd / best - 1.0).max()),
        kl=exact.kl(mean, np.diag(np.square(sd))),
        seconds=seconds,
        status=fit.status.name,
    )
