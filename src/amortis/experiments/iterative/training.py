"""What is trained: a fit by every method, and a function on a decoder that is held."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np

import amortis
from amortis._types import RandomKey
from amortis.experiments.binarised import Binarised
from amortis.experiments.iterative.followed import trained_alone
from amortis.experiments.iterative.methods import FOLLOWED, methods
from amortis.experiments.iterative.models import ImageModel, Weights, one_level, two_levels
from amortis.experiments.iterative.one_fit import MethodRun, run_method
from amortis.experiments.iterative.sizes import IterativeSize
from amortis.experiments.kept import Kept, deciding
from amortis.experiments.tasks.data_digest import data_digest


@dataclasses.dataclass(frozen=True)
class TrainedMethods:
    """Everything that takes the clock.

    Attributes:
        runs: how the methods' fits went.
        fits: with the parameters of their best evaluations, by the names of the methods.
        alone: a function of steps on the decoder of the method that is followed.
    """

    runs: tuple[MethodRun, ...]
    fits: Mapping[str, amortis.Fit]
    alone: amortis.Fit


def train_methods(
    images: Binarised,
    levels: int,
    size: IterativeSize,
    *,
    key: RandomKey,
    folder: Path | None,
    tell: Callable[[str], None],
) -> TrainedMethods:
    """Train what is not in the folder yet.

    Args:
        images: to fit, and held out.
        levels: of latents, one or two.
        size: of it all.
        key: random key.
        folder: where fits are kept, and found again; None to keep nothing.
        tell: is given a line for what is trained, and others on the way.

    Raises:
        KeyboardInterrupt: interrupted; methods that were finished are kept.
    """
    model_key, fit_key, *_ = jax.random.split(key, 4)
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
    weights = fits[FOLLOWED].params
    held = _model(levels, size, images, model_key, weights)
    # Weights that were trained by the clock are others each time.
    decoder = data_digest(*(np.asarray(leaf) for leaf in jax.tree.leaves(dict(weights))))
    alone = _alone(kept.beside(decoder=decoder), held, images, size, fit_key, tell)
    return TrainedMethods(tuple(runs), fits, alone)


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
