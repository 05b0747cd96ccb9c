"""The whole experiment: methods within their budgets, gaps, steps, and the surface."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

import amortis
from amortis._types import RandomKey
from amortis.experiments.binarised import Binarised
from amortis.experiments.iterative.followed import (
    StepCurve,
    ascent_curves,
    curve_of,
)
from amortis.experiments.iterative.methods import FOLLOWED
from amortis.experiments.iterative.one_fit import MethodRun
from amortis.experiments.iterative.sizes import IterativeSize
from amortis.experiments.iterative.surface import Surface, draw_surface
from amortis.experiments.iterative.training import train_methods

_MEASURED = 512
"""Draws of each image on which gaps are measured."""


@dataclasses.dataclass(frozen=True)
class MethodGap:
    """What a method leaves on held-out images, with the globals that it found.

    Attributes:
        name: of the method.
        optimum: ELBO of each image's own optimum, nats per image.
        elbo: of the method on the same images.
        gap: their difference, and its standard error over draws.
        gap_se: see above.
        rows_se: standard error of the gap over images.
        log_evidence: log p(x) by importance sampling, nats per image.
    """

    name: str
    optimum: float
    elbo: float
    gap: float
    gap_se: float
    rows_se: float
    log_evidence: float


@dataclasses.dataclass(frozen=True)
class IterativeResult:
    """What came out.

    Attributes:
        levels: of latents.
        size: of the experiment.
        runs: the methods' fits.
        gaps: what each leaves on held-out images.
        optimum: ELBO of own optima on the decoder whose steps are followed, nats per image.
        learned: the ELBO from step to step of the function that learned to take steps.
        alone: the same of one that learned them on the held decoder.
        ascents: the same of gradient ascent.
        surface: the ELBO of one image over two means; None for two levels.
    """

    levels: int
    size: IterativeSize
    runs: tuple[MethodRun, ...]
    gaps: tuple[MethodGap, ...]
    optimum: float
    learned: StepCurve
    alone: StepCurve
    ascents: tuple[StepCurve, ...]
    surface: Surface | None


def run_iterative(
    images: Binarised,
    levels: int,
    size: IterativeSize,
    *,
    key: RandomKey,
    folder: Path | None = None,
    tell: Callable[[str], None] = print,
) -> IterativeResult:
    """Run the experiment, or what of it is missing.

    Args:
        images: to fit, and held out.
        levels: of latents, one or two.
        size: of it all.
        key: random key.
        folder: where fits are kept, and found again; None to keep nothing.
        tell: is given lines on the way.

    Raises:
        KeyboardInterrupt: interrupted; methods that were finished are kept.
    """
    trained = train_methods(images, levels, size, key=key, folder=folder, tell=tell)
    _, _, gap_key, surface_key = jax.random.split(key, 4)
    gaps = [
        _gap_of(name, fit, images, size, jax.random.fold_in(gap_key, i), tell)
        for i, (name, fit) in enumerate(trained.fits.items())
    ]
    shown = amortis.infer(trained.fits[FOLLOWED], images.held_out[: size.shown])
    alone = amortis.infer(trained.alone, images.held_out[: size.shown])
    tell("ELBOs from step to step")
    optimum = amortis.inference_gap(
        shown, key=gap_key, families=(amortis.DiagonalNormal(),), **_gap_choices()
    ).optima[0]
    return IterativeResult(
        levels,
        size,
        trained.runs,
        tuple(gaps),
        optimum.mean.mean,
        curve_of("iterative, with its decoder", shown, min(size.most_steps, 32)),
        curve_of("iterative, on the held decoder", alone, min(size.most_steps, 32)),
        ascent_curves(shown, size),
        draw_surface(images, size, key=surface_key) if levels == 1 else None,
    )


def _gap_choices() -> dict[str, Any]:
    """What is asked of `inference_gap`: the optimum, and the evidence by importance sampling."""
    return {
        "importance": amortis.ImportanceSampling(draws=1000),
        "annealed": amortis.AnnealedImportanceSampling(temperatures=1, chains=2, leapfrog=1),
        "search": amortis.RowAscent(steps=300, draws=8),
        "draws": _MEASURED,
    }


def _gap_of(
    name: str,
    fit: amortis.Fit,
    images: Binarised,
    size: IterativeSize,
    key: RandomKey,
    tell: Callable[[str], None],
) -> MethodGap:
    held = amortis.infer(fit, images.held_out[: size.measured])
    found = amortis.inference_gap(
        held, key=key, families=(amortis.DiagonalNormal(),), **_gap_choices()
    )
    gap = found.terms[-1]
    tell(f"{name}: {gap.mean.mean:.3f} ± {gap.mean.se:.3f} nats per image below own optima")
    return MethodGap(
        name,
        found.optima[0].mean.mean,
        found.encoder.mean.mean,
        gap.mean.mean,
        gap.mean.se,
        gap.over_rows.se,
        found.log_evidence.mean.mean,
    )
