"""One fit, with its reconstruction errors while it runs."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import amortis
from amortis._types import RandomKey
from amortis.experiments.bnn.network import decoded
from amortis.experiments.bnn.settings import BnnMethod, BnnSchedule, BnnSettings

SHOWN = 8
"""Images of each kind whose reconstructions are kept."""


@dataclasses.dataclass(frozen=True)
class BnnRun:
    """What is kept of a fit.

    Attributes:
        status: name of the fit's status.
        parameters: number of variational parameters.
        compile_seconds: wall time of the fit of one block that goes before and compiles.
        epochs: epochs at each evaluation.
        seconds: wall time of the fit up to there, without compilation and evaluations.
        elbo: mean ELBO of the steps since the evaluation before, nats, total.
        training_mse: mean squared error of the training images' reconstructions.
        held_out_mse: of the held-out images'; NaN where there are none, or no function for them.
        training_shown: reconstructions of the first training images.
        held_out_shown: of the first held-out images; empty where there are none.
    """

    status: str
    parameters: int
    compile_seconds: float
    epochs: Float[np.ndarray, " t"]
    seconds: Float[np.ndarray, " t"]
    elbo: Float[np.ndarray, " t"]
    training_mse: Float[np.ndarray, " t"]
    held_out_mse: Float[np.ndarray, " t"]
    training_shown: Float[np.ndarray, "shown pixels"]
    held_out_shown: Float[np.ndarray, "held_shown pixels"]

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> "BnnRun":
        """The record of its kept arrays, of which those without an axis are plain values."""
        return cls(**{k: v.item() if v.ndim == 0 else v for k, v in arrays.items()})


class _Errors:
    """Reconstruction errors of whatever parameters a fit has at the moment."""

    def __init__(self, fit: amortis.Fit, held_out: Float[np.ndarray, "m pixels"]) -> None:
        self.fit = fit
        # A table has factors of the fitted images only: others would have to be optimised.
        owns = isinstance(fit.guide.inference, amortis.Table)
        self.held = None if owns or not len(held_out) else amortis.infer(fit, held_out)

    def __call__(self, variational: Any) -> tuple[float, float]:
        """Mean squared errors of training and held-out images."""
        errors = [math.nan, math.nan]
        for i, bound in enumerate((self.fit, self.held)):
            if bound is not None:
                at = dataclasses.replace(bound, variational=variational)
                errors[i] = float(_mse(reconstructed(at), bound.model.inputs))
        return errors[0], errors[1]

    def shown(self, fit: amortis.Fit) -> tuple[np.ndarray, np.ndarray]:
        """Reconstructions of the first images of both kinds."""
        kept = np.asarray(reconstructed(fit))[:SHOWN]
        if self.held is None:
            return kept, np.zeros((0, kept.shape[1]), kept.dtype)
        held = dataclasses.replace(self.held, variational=fit.variational)
        return kept, np.asarray(reconstructed(held))[:SHOWN]


def reconstructed(fit: amortis.Fit) -> Float[Array, "rows pixels"]:
    """Images decoded from posterior means of codes by posterior means of weights, as the code does.

    Args:
        fit: a fit of `bnn`.

    Returns:
        One image per row of the fit's data.
    """
    weights, _ = fit.global_moments()
    codes, _ = fit.local_moments()
    return _decoded(fit.guide.theta.split(weights), codes)


_decoded: Callable[..., Array] = eqx.filter_jit(decoded)


@jax.jit
def _mse(images: Array, pixels: Array) -> Array:
    return jnp.mean(jnp.square(images - pixels))


def fit_recorded(
    model: amortis.LatentModel,
    held_out: Float[np.ndarray, "m pixels"],
    method: BnnMethod,
    settings: BnnSettings,
    schedule: BnnSchedule,
    *,
    key: RandomKey,
    monitor: amortis.Monitor | None = None,
) -> BnnRun:
    """Fit a method by the paper's optimiser, and record the errors on the way.

    A fit of one block goes before, of the same compiled functions, so that the recorded times are
    those of steps. The clock stands still during evaluations.

    Args:
        model: `bnn` bound to the training images.
        held_out: images that are not fitted.
        method: the inference function.
        settings: of the experiment.
        schedule: how long.
        key: random key.
        monitor: called after every block.

    Returns:
        What is kept.

    Raises:
        KeyboardInterrupt: the fit was interrupted; half a fit is no result.
    """
    fitted = functools.partial(_fitted, model, method.inference(), settings, schedule, key)
    started = time.perf_counter()
    first = fitted(schedule.evaluate, None)
    compiled = time.perf_counter() - started
    clock = _Clock(_Errors(first, held_out), monitor)
    fit = fitted(schedule.epochs, clock)
    steps, seconds, elbo, training, held_mse = np.asarray(clock.records, np.float64).T
    training_shown, held_out_shown = clock.errors.shown(fit)
    return BnnRun(
        status=fit.status.name,
        parameters=fit.parameters,
        compile_seconds=compiled,
        epochs=steps / schedule.per_epoch,
        seconds=seconds,
        elbo=elbo,
        training_mse=training,
        held_out_mse=held_mse,
        training_shown=training_shown,
        held_out_shown=held_out_shown,
    )


def _fitted(
    model: amortis.LatentModel,
    inference: amortis.Table | amortis.Constant | amortis.MLP,
    settings: BnnSettings,
    schedule: BnnSchedule,
    key: RandomKey,
    epochs: int,
    monitor: amortis.Monitor | None,
) -> amortis.Fit:
    """Fit for some epochs, a block from one evaluation to the next.

    Raises:
        KeyboardInterrupt: the fit was interrupted.
    """
    optimiser = amortis.ConstantRate(
        settings.rate,
        iterations=epochs * schedule.per_epoch,
        draws=settings.draws,
        batch=schedule.batch,
        block=schedule.evaluate * schedule.per_epoch,
    )
    fit = amortis.fit(
        model,
        key=key,
        inference=inference,
        optimiser=optimiser,
        # The code has log q at the draw z = m + s e, which is -log s - e^2 / 2 + constants: its
        # gradient is that of the entropy in closed form.
        gradient=amortis.ClosedFormEntropy(),
        monitor=monitor,
    )
    if fit.status is amortis.Status.INTERRUPTED:
        raise KeyboardInterrupt
    return fit


class _Clock:
    """A monitor that evaluates, with a clock that stands still meanwhile."""

    def __init__(self, errors: _Errors, monitor: amortis.Monitor | None) -> None:
        self.errors, self.monitor = errors, monitor
        self.records: list[tuple[float, ...]] = []
        errors(errors.fit.variational)  # compiles
        self.spent, self.resumed = 0.0, time.perf_counter()

    def __call__(self, progress: amortis.Progress, current: Callable[[], Any]) -> None:
        self.spent += time.perf_counter() - self.resumed
        training, held_out = self.errors(current())
        self.records.append(
            (float(progress.iterations), self.spent, progress.objective, training, held_out)
        )
        if self.monitor is not None:
            self.monitor(progress, current)
        self.resumed = time.perf_counter()
