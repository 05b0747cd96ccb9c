"""The ELBO of one image over the means of two latents, and the ways up."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import amortis
from amortis._types import RandomKey
from amortis.experiments.binarised import Binarised
from amortis.experiments.iterative.followed import on_decoder
from amortis.experiments.iterative.models import one_level
from amortis.experiments.iterative.one_fit import seconds_per_step
from amortis.experiments.iterative.sizes import IterativeSize

_POINTS, _GRID = 256, 81
_CLIMB, _RATE = 150, 0.05
_STEPS, _TRIED = 5, 40
"""Steps of the iterative function, and held-out images of which one is shown."""


@dataclasses.dataclass(frozen=True)
class Surface:
    """ELBOs of one held-out image, in nats, with its sds at the optimum.

    Attributes:
        image: which of the held-out images.
        first: values of the first mean.
        second: values of the second mean.
        elbo: ELBO at (second, first).
        near_first: the same, enlarged around the optimum.
        near_second: see above.
        near_elbo: see above.
        optimum: means at the optimum.
        optimum_elbo: the ELBO there, with its own sds.
        encoder: means that the encoder gives.
        encoder_elbo: the ELBO of the encoder's factor, with its own sds.
        iterative: means from step to step, the encoder's first.
        iterative_elbo: the ELBO after the last step.
        ascent: means from step to step of gradient ascent from the prior.
    """

    image: int
    first: Float[np.ndarray, " x"]
    second: Float[np.ndarray, " y"]
    elbo: Float[np.ndarray, "y x"]
    near_first: Float[np.ndarray, " near_x"]
    near_second: Float[np.ndarray, " near_y"]
    near_elbo: Float[np.ndarray, "near_y near_x"]
    optimum: Float[np.ndarray, "2"]
    optimum_elbo: float
    encoder: Float[np.ndarray, "2"]
    encoder_elbo: float
    iterative: Float[np.ndarray, "steps 2"]
    iterative_elbo: float
    ascent: Float[np.ndarray, "climbed 2"]


def draw_surface(images: Binarised, size: IterativeSize, *, key: RandomKey) -> Surface:
    """Train a model with two latents, and look at one held-out image.

    An encoder and a function that takes steps from its outputs are trained together. The image is
    that of the first few whose encoder's gap is their median.

    Args:
        images: the images.
        size: how long to train, and the networks' width.
        key: random key.
    """
    model_key, fit_key = jax.random.split(key)
    pixels = images.training.shape[1]
    model = amortis.from_numpyro(one_level(2, size.width, pixels, model_key), images.training)
    network = amortis.MLP(size.width)
    function = amortis.Iterative(network=network, steps=_STEPS, start=network, draws=8)

    def fitted(iterations: int, monitor: amortis.Monitor | None) -> amortis.Fit:
        optimiser = amortis.ConstantRate(2e-3, iterations=iterations, batch=size.batch, block=10)
        return amortis.fit(
            model, key=fit_key, inference=function, optimiser=optimiser, monitor=monitor
        )

    pace = seconds_per_step(lambda monitor: fitted(30, monitor))
    fit = fitted(max(int(size.surface_seconds / pace), 50), None)
    shown = amortis.infer(fit, images.held_out[:_TRIED])
    climber = amortis.GradientAscent(rule=amortis.AdamSteps(_RATE), steps=_CLIMB, draws=64)
    climbing = on_decoder(shown, climber)
    learned, climbed = (_iterates(one) for one in (shown, climbing))
    start = np.broadcast_to(np.asarray(shown.guide.offset), climbed[:1].shape)
    ends = np.asarray(_elbos(shown, learned[0], None))
    best = np.asarray(_elbos(shown, climbed[-1], None))
    image = int(np.argsort(best - ends)[len(ends) // 2])
    own = climbed[-1][image]
    path = np.concatenate([start, climbed])[:, image, :2]
    every = np.concatenate([learned[:, image, :2], path, own[None, :2]])
    wide = _grid(shown, image, own, every.min(axis=0) - 0.5, every.max(axis=0) + 0.5)
    near = np.concatenate([learned[:, image, :2], own[None, :2]])
    margin = 0.35 * (near.max(axis=0) - near.min(axis=0)).max() + 0.02
    close = _grid(shown, image, own, near.min(axis=0) - margin, near.max(axis=0) + margin)
    return Surface(
        image,
        *wide,
        *close,
        optimum=own[:2],
        optimum_elbo=float(best[image]),
        encoder=learned[0, image, :2],
        encoder_elbo=float(ends[image]),
        iterative=learned[:, image, :2],
        iterative_elbo=float(np.asarray(_elbos(shown, learned[-1], None))[image]),
        ascent=path,
    )


@eqx.filter_jit
def _raws(fitted: amortis.Fit) -> Any:
    return fitted.guide.iterates(fitted.variational, None)


def _iterates(fitted: amortis.Fit) -> Float[np.ndarray, "iterates rows raw"]:
    return np.asarray(_raws(fitted))


@eqx.filter_jit
def _elbos(fitted: amortis.Fit, raw: Any, index: Any) -> Any:
    climbed: Any = fitted.guide.row_elbos
    wide = dataclasses.replace(climbed, draws=_POINTS)
    return wide(fitted.guide.factors(), fitted.variational, jnp.asarray(raw), index)[0]


def _grid(
    fitted: amortis.Fit,
    image: int,
    own: Float[np.ndarray, " raw"],
    low: Float[np.ndarray, "2"],
    high: Float[np.ndarray, "2"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ELBOs of an image over both means, with the log sds of its optimum."""
    first, second = (np.linspace(low[i], high[i], _GRID).astype(own.dtype) for i in (0, 1))
    x, y = np.meshgrid(first, second)
    raw = np.tile(own, (x.size, 1))
    raw[:, 0], raw[:, 1] = x.ravel(), y.ravel()
    lines = np.split(raw, _GRID)
    index = jnp.full(_GRID, image)
    values = [np.asarray(_elbos(fitted, line, index)) for line in lines]
    return first, second, np.stack(values)
