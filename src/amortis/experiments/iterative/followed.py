"""ELBOs of held-out images from step to step, all on one decoder."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import amortis
from amortis._types import RandomKey
from amortis.experiments.iterative.sizes import IterativeSize

_POINTS = 64
"""Of the rule over which ELBOs are taken from step to step; all curves share it."""


@dataclasses.dataclass(frozen=True)
class StepCurve:
    """One way up.

    Attributes:
        name: of the way.
        elbos: mean ELBO after each step, from the start on, nats per image.
        fall: how far the ELBO falls at most below that of an earlier step, in standard errors of
            the two ELBOs' difference over images; zero where it never falls.
    """

    name: str
    elbos: tuple[float, ...]
    fall: float

    def after(self, steps: int) -> float:
        """The ELBO after so many steps, or the last if there are fewer."""
        return self.elbos[min(steps, len(self.elbos) - 1)]

    def reaches(self, level: float) -> int | None:
        """The first step with at least this ELBO."""
        over = np.flatnonzero(np.asarray(self.elbos) >= level)
        return int(over[0]) if over.size else None


def curve_of(name: str, fitted: amortis.Fit, steps: int) -> StepCurve:
    """Follow a fit's function over so many steps on its data.

    Args:
        name: of the way.
        fitted: with an iterated function.
        steps: how far.
    """
    further = amortis.with_steps(fitted, steps)
    elbos = np.asarray(_along(further.guide, further.variational), np.float64)
    means = elbos.mean(axis=1)
    return StepCurve(name, tuple(float(value) for value in means), _fall(elbos))


def trained_alone(
    model: amortis.LatentModel, size: IterativeSize, *, key: RandomKey
) -> amortis.Fit:
    """A function that takes steps, trained on a model without anything else to learn.

    It reads slopes and iterates only: one that reads the images besides knows those that it was
    trained on, and comes to a halt nats short of the others' optima. Its rate falls to zero.

    Args:
        model: whose weights are held.
        size: how long.
        key: random key.

    Raises:
        KeyboardInterrupt: interrupted; half a fit is no result.
    """
    function = amortis.Iterative(
        network=amortis.MLP(size.alone_width),
        steps=size.alone_steps,
        encoding=amortis.LayerNormalized(),
        reads_context=False,
        draws=size.alone_draws,
    )
    falling = optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, size.alone))
    optimiser = amortis.ConstantRate(
        2e-3,
        iterations=size.alone,
        batch=size.batch,
        optimizer=optax.chain(optax.scale_by_adam(), falling),
    )
    fitted = amortis.fit(model, key=key, inference=function, optimiser=optimiser)
    if fitted.status is amortis.Status.INTERRUPTED:
        raise KeyboardInterrupt
    return fitted


def ascent_curves(fitted: amortis.Fit, size: IterativeSize) -> tuple[StepCurve, ...]:
    """Gradient ascent at every learning rate, on the decoder of a fit and on its data.

    Args:
        fitted: gives the data and the decoder.
        size: which rates, and how many steps.
    """
    curves: list[StepCurve] = []
    for rate in size.rates:
        for label, rule in (
            (f"Adam, rate {rate:g}", amortis.AdamSteps(rate)),
            (f"plain steps of {rate:g}", amortis.MomentumSteps(rate)),
        ):
            function = amortis.GradientAscent(rule=rule, steps=size.most_steps, draws=16)
            curves.append(curve_of(label, on_decoder(fitted, function), size.most_steps))
    return tuple(curves)


def on_decoder(fitted: amortis.Fit, function: amortis.GradientAscent) -> amortis.Fit:
    """Gradient ascent in the place of a fit's function: the same globals, and nothing learned."""
    still = amortis.ConstantRate(1e-12, iterations=1, block=1, batch=2)
    bare = amortis.fit(fitted.model, key=jax.random.key(0), inference=function, optimiser=still)
    variational = {**bare.variational, "globals": fitted.variational["globals"]}
    return dataclasses.replace(bare, variational=variational)


def _fall(elbos: Float[np.ndarray, "iterates rows"]) -> float:
    most, means = 0.0, elbos.mean(axis=1)
    for i in range(1, len(means)):
        lost = elbos[int(np.argmax(means[:i]))] - elbos[i]
        spread = lost.std(ddof=1) / np.sqrt(lost.size)
        if lost.mean() > 0.0 and spread > 0.0:
            most = max(most, float(lost.mean() / spread))
    return most


@eqx.filter_jit
def _along(guide: Any, variational: Any) -> Float[Array, "iterates rows"]:
    iterates = guide.iterates(variational, None)
    start = jnp.broadcast_to(guide.offset, iterates.shape[1:])[None]
    raws = jnp.concatenate([start, iterates])
    wide = dataclasses.replace(guide.row_elbos, draws=_POINTS)

    def at(raw: Float[Array, "rows raw"]) -> Float[Array, " rows"]:
        return wide(guide.factors(), variational, raw, None)[0]

    return jax.lax.map(at, raws)
