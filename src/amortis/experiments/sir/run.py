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
from amortis.experiments.sir.curves import densities, exact_densities, predictive_band
from amortis.experiments.sir.exact import BestGaussian, ExactSir, exact_sir
from amortis.experiments.sir.model import bound_sir
from amortis.experiments.sir.nuts import run_nuts
from amortis.experiments.sir.quantities import QUANTITIES, Summary, of_draws
from amortis.experiments.sir.results import Drawn, FamilyResult, Lines, SeedResult, SirResult

MEAN_FIELD, LINEAR_RESPONSE, FULL_RANK = "mean-field", "mean-field, linear response", "full-rank"
FLOW = "flow"
EXACT = "exact"
DRAWN = (MEAN_FIELD, FULL_RANK, FLOW)
"""Families in the figures."""

FAMILIES: Mapping[str, Any] = {
    MEAN_FIELD: amortis.DiagonalNormal(),
    FULL_RANK: amortis.FullRank(),
    FLOW: amortis.Flow(),
    "Laplace": amortis.Laplace(),
    "Pathfinder, 1 path": amortis.Pathfinder(paths=1),
    # By default BlackJAX solves the equations 400 000 times, at 100 iterates of each path.
    "Pathfinder, 20 paths": amortis.Pathfinder(paths=20, draws=50, iterations=30),
    "batch and match": amortis.BatchAndMatch(),
}
"""By name, what `fit` is given as `globals_`."""

SEEDS = 10
_DRAWS, _ELBO_DRAWS = 20_000, 2**16

Tell = Callable[[str], None]


def run_sir(
    *,
    key: Key[Array, ""],
    seeds: int = SEEDS,
    families: Mapping[str, Any] = FAMILIES,
    tell: Tell = print,
) -> SirResult:
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
    found: list[FamilyResult] = []
    bands: dict[str, Lines] = {}
    shown = {EXACT: exact_densities(exact)}
    for i, (name, family) in enumerate(families.items()):
        tell(f"SIR: {name}")
        family_key = jax.random.fold_in(key, i)
        fit, measured = _measured(model, name, family, exact.evidence, family_key)
        found.append(measured)
        if name in DRAWN:
            bands[name] = predictive_band(fit, family_key)
            shown[name] = densities(fit, exact, family_key)
        if name == MEAN_FIELD:
            found.append(_linear_response(fit, measured))
    tell("SIR: NUTS")
    nuts = run_nuts(jax.random.fold_in(key, len(families)))
    tell(f"SIR: {MEAN_FIELD} from {seeds} seeds")
    tried = tuple(_seed(model, seed, exact, optimum) for seed in range(seeds))
    axes = tuple(tuple(float(v) for v in axis) for axis in exact.axes)
    drawn = Drawn(bands, axes, shown)
    return SirResult(exact.summaries, exact.evidence, tuple(found), nuts, tried, drawn)


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
        unsolved=0,
        draws=0,  # of its own: sds are the Hessian's
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
