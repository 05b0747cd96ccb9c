"""The whole experiment: training, the gap in its terms, the log likelihood, and pictures."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

import amortis
from amortis._types import RandomKey
from amortis.experiments.binarised import Binarised
from amortis.experiments.kept import Kept, deciding
from amortis.experiments.vae.gap import Gap, Likelihood, gap_of, likelihood_of
from amortis.experiments.vae.model import image_decoder, image_model, pixel_means
from amortis.experiments.vae.sizes import VaeSize

TRAINING, HELD_OUT = "training", "held-out"

_SHOWN = 10
"""Images of a line of a picture."""

_SPREAD = 2.5
"""How far latents are moved, in sds of their prior."""


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Images of pixels between zero and one.

    Attributes:
        originals: held-out images.
        reconstructions: what the decoder makes of the means of their factors.
        latents: which latents are moved, those that say most first.
        traversals: an image for each of these and each value, the others at the mean of the
            factor of the first original.
        values: that the moved latent takes.
        samples: of the prior.
    """

    originals: Float[np.ndarray, "n height width"]
    reconstructions: Float[np.ndarray, "n height width"]
    latents: tuple[int, ...]
    traversals: Float[np.ndarray, "moved values height width"]
    values: tuple[float, ...]
    samples: Float[np.ndarray, "m height width"]


@dataclasses.dataclass(frozen=True)
class VaeResult:
    """What came out.

    Attributes:
        size: of the experiment.
        parameters: numbers in encoder and decoder.
        training_elbo: nats per training image.
        held_out_elbo: nats per held-out image.
        likelihood: of held-out images.
        gaps: on training images and on held-out ones.
        seconds: wall time of what was run now and not found, by step.
    """

    size: VaeSize
    parameters: int
    training_elbo: float
    held_out_elbo: float
    likelihood: Likelihood
    gaps: tuple[Gap, ...]
    seconds: dict[str, float]


def run_vae(
    images: Binarised,
    size: VaeSize,
    *,
    key: RandomKey,
    folder: Path | None = None,
    tell: Callable[[str], None] = print,
) -> tuple[VaeResult, Pictures]:
    """Run the experiment, or what of it is missing.

    Args:
        images: to fit, and held out.
        size: of it all.
        key: random key.
        folder: where the fit and what is measured are kept, and found again; None to keep nothing.
        tell: is given lines on the way.

    Returns:
        The numbers, and the pictures.

    Raises:
        KeyboardInterrupt: interrupted; steps that were finished are kept.
    """
    asked = deciding(key, images.training, images.held_out, size=size)
    kept = Kept(folder, asked, tell)
    network_key, fit_key, elbo_key, weigh_key, gap_key, sample_key = jax.random.split(key, 6)
    network = image_decoder(size.latent, size.width, images.training.shape[1], network_key)
    model = image_model(network)
    timed = _Timed(tell)
    fitted = kept.fit("fit", model, images.training)
    if fitted is None:
        with timed(f"training: {size.iterations} steps"):
            fitted = _trained(amortis.from_numpyro(model, images.training), size, fit_key)
        kept.keep_fit("fit", fitted)
    held_out = amortis.infer(fitted, images.held_out)
    elbos = [one.elbo(key=elbo_key, draws=4).mean / one.model.size for one in (fitted, held_out)]
    tell(f"ELBO: {elbos[0]:.2f} nats per training image, {elbos[1]:.2f} per held-out image")
    found = kept.record("likelihood")
    likelihood = None if found is None else Likelihood(**found)
    if likelihood is None:
        some = amortis.infer(fitted, images.held_out[: size.weighed])
        with timed(f"log likelihood: {size.weighed} images, {size.importance} draws"):
            likelihood = likelihood_of(some, size, weigh_key)
        kept.keep_record("likelihood", likelihood)
    gaps: list[Gap] = []
    for i, (name, one) in enumerate(((TRAINING, fitted), (HELD_OUT, held_out))):
        found = kept.record(f"gap-{name}")
        gap = None if found is None else Gap.read(found)
        if gap is None:
            with timed(f"inference gap: {size.measured} {name} images"):
                gap = gap_of(one, name, size, jax.random.fold_in(gap_key, i))
            kept.keep_record(f"gap-{name}", gap)
        gaps.append(gap)
    result = VaeResult(
        size, fitted.parameters, elbos[0], elbos[1], likelihood, tuple(gaps), timed.seconds
    )
    return result, _pictures(held_out, network, images, sample_key)


def _trained(model: amortis.LatentModel, size: VaeSize, key: RandomKey) -> amortis.Fit:
    optimiser = amortis.ConstantRate(size.rate, iterations=size.iterations, batch=size.batch)
    fitted = amortis.fit(model, key=key, inference=amortis.MLP(size.width), optimiser=optimiser)
    if fitted.status is amortis.Status.INTERRUPTED:
        raise KeyboardInterrupt  # half a fit is no result
    return fitted


def _pictures(held_out: amortis.Fit, network: Any, images: Binarised, key: RandomKey) -> Pictures:
    means = np.asarray(held_out.local_moments()[0])

    def drawn(z: Float[np.ndarray, "n latent"]) -> Float[np.ndarray, "n height width"]:
        pixels = pixel_means(held_out, network, z)
        return pixels.reshape(len(z), images.height, -1)

    # One image of each digit, as far as there are.
    first = [int(np.flatnonzero(images.labels == digit)[0]) for digit in np.unique(images.labels)]
    shown = np.asarray(first[:_SHOWN])
    # A latent says something of an image if its mean moves from image to image.
    moved = np.argsort(-means.std(axis=0))[: _SHOWN // 2]
    values = np.linspace(-_SPREAD, _SPREAD, _SHOWN, dtype=means.dtype)
    along: list[np.ndarray] = []
    for latent in moved:
        z = np.repeat(means[shown[:1]], _SHOWN, axis=0)
        z[:, latent] = values
        along.append(drawn(z))
    prior = np.asarray(jax.random.normal(key, (4 * _SHOWN, means.shape[1])), means.dtype)
    return Pictures(
        images.held_out[shown].reshape(len(shown), images.height, -1),
        drawn(means[shown]),
        tuple(int(latent) for latent in moved),
        np.stack(along),
        tuple(float(value) for value in values),
        drawn(prior),
    )


class _Timed:
    """Tells what begins, and keeps how long it took."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.seconds: dict[str, float] = {}
        self._name, self._began = "", 0.0

    def __call__(self, name: str) -> "_Timed":
        self._name = name
        return self

    def __enter__(self) -> None:
        self._tell(self._name)
        self._began = time.perf_counter()

    def __exit__(self, *raised: object) -> None:
        self.seconds[self._name] = time.perf_counter() - self._began
