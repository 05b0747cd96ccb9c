"""The whole experiment: methods within their budgets, gaps, steps, and the surface."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import amortis
from amortis._types import RandomKey
from amortis.experiments.binarised import Binarised
from amortis.experiments.iterative.followed import (
    StepCurve,
    ascent_curves,
    curve_of,
    trained_alone,
)
from amortis.experiments.iterative.methods import FOLLOWED, methods
from amortis.experiments.iterative.models import ImageModel, Weights, one_level, two_levels
from amortis.experiments.iterative.one_fit import MethodRun, run_method
from amortis.experiments.iterative.sizes import IterativeSize
from amortis.experiments.iterative.surface import Surface, draw_surface
from amortis.experiments.kept import Kept, deciding
from amortis.experiments.tasks.data_digest import data_digest

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
    model_key, fit_key, gap_key, surface_key = jax.random.split(key, 4)
    function = _model(levels, size, images, model_key)
    model = amortis.from_numpyro(function, images.training)
    asked = deciding(key, images.training, images.held_out, size=size.fitted, levels=levels)
    kept = Kept(folder, asked, tell)
    runs: list[MethodRun] = []
    fits: dict[str, amortis.Fit] = {}
    for method in methods(size):
        mine = kept.beside(method=repr(method))
        found = _kept_run(mine, method.name, function, images)
        if found is None:
            tell(f"{method.name}: {size.seconds:.0f} s of training")
            found = run_method(model, images.held_out, method, size, key=fit_key, tell=tell)
            mine.keep_fit(method.name, found[1])
            mine.keep_record(method.name, found[0])  # last: without it the method is run again
        runs.append(found[0])
        fits[method.name] = found[1]
    gaps = [
        _gap_of(name, fit, images, size, jax.random.fold_in(gap_key, i), tell)
        for i, (name, fit) in enumerate(fits.items())
    ]
    shown = amortis.infer(fits[FOLLOWED], images.held_out[: size.shown])
    weights = fits[FOLLOWED].params
    held = _model(levels, size, images, model_key, weights)
    # Weights that were trained by the clock are others each time.
    decoder = data_digest(*(np.asarray(leaf) for leaf in jax.tree.leaves(dict(weights))))
    alone = _alone(kept.beside(decoder=decoder), held, images, size, fit_key, tell)
    alone = amortis.infer(alone, images.held_out[: size.shown])
    tell("ELBOs from step to step")
    optimum = amortis.inference_gap(
        shown, key=gap_key, families=(amortis.DiagonalNormal(),), **_gap_choices()
    ).optima[0]
    return IterativeResult(
        levels,
        size,
        tuple(runs),
        tuple(gaps),
        optimum.mean.mean,
        curve_of("iterative, with its decoder", shown, min(size.most_steps, 32)),
        curve_of("iterative, on the held decoder", alone, min(size.most_steps, 32)),
        ascent_curves(shown, size),
        draw_surface(images, size, key=surface_key) if levels == 1 else None,
    )


def _kept_run(
    kept: Kept, name: str, function: ImageModel, images: Binarised
) -> tuple[MethodRun, amortis.Fit] | None:
    """A method's record and its fit, if both are there."""
    given = kept.record(name)
    if given is None:
        return None
    fitted = kept.fit(name, function, images.training)
    if fitted is None:
        return None
    given |= {field: tuple(given[field]) for field in ("seconds", "held_out")}
    return MethodRun(**given), fitted


def _alone(
    kept: Kept,
    function: ImageModel,
    images: Binarised,
    size: IterativeSize,
    key: RandomKey,
    tell: Callable[[str], None],
) -> amortis.Fit:
    """A function of steps on a decoder whose weights are held."""
    name = "on-the-held-decoder"
    found = kept.fit(name, function, images.training)
    if found is None:
        tell(f"on the held decoder: {size.alone} steps of optimisation")
        found = trained_alone(amortis.from_numpyro(function, images.training), size, key=key)
        kept.keep_fit(name, found)
    return found


def _model(
    levels: int,
    size: IterativeSize,
    images: Binarised,
    key: RandomKey,
    held: Weights | None = None,
) -> ImageModel:
    pixels = images.training.shape[1]
    if levels == 1:
        return one_level(size.latent, size.width, pixels, key, held)
    return two_levels(size.latent, size.upper, size.width, pixels, key, held)


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
