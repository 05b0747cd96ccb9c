"""Independent draws of a fit, evaluated block by block: the same key gives the same latents.

Whatever is asked of draws, their values, their log densities or data drawn from them, is asked of
the same draws if it is asked with the same key and the same number.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from amortis._types import Parameters, RandomKey, Sites
from amortis.guide import Guide, Noise
from amortis.model import LatentModel

BLOCK_NUMBERS = 4_000_000
"""Numbers held at once while draws are evaluated; more draws go in blocks."""

_OWN = 2  # a block's key is split in two for the noise of q; this one is for what else is drawn


class Fitted(eqx.Module):
    """The parts of a fit that enter compiled functions, without status and history."""

    model: LatentModel
    guide: Guide
    variational: Parameters

    @property
    def numbers_per_draw(self) -> int:
        """Numbers that one draw of the locals takes, or the inputs where those are more."""
        width = max(self.guide.z.dimension, self.model.inputs.shape[1], 1)
        return self.model.size * width


OfOneDraw: TypeAlias = Callable[
    [Fitted, Float[Array, "rows raw"], Sites, Sites, RandomKey], Mapping[str, Array]
]
"""Maps a fit, raw parameters of its rows, one draw of θ and z, and a key of its own, to arrays."""


def independent(fitted: Fitted, key: RandomKey, draws: int) -> Noise:
    """Independent noise for all rows, draws first."""
    theta_key, z_key = jax.random.split(key)
    guide = fitted.guide
    return Noise.equal(
        jax.random.normal(theta_key, (draws, guide.noise_size)),
        jax.random.normal(z_key, (draws, fitted.model.size, guide.z.dimension)),
    )


def over_draws(
    fitted: Fitted, evaluate: OfOneDraw, key: RandomKey, draws: int
) -> dict[str, np.ndarray]:
    """Evaluate a function at draws of q.

    Args:
        fitted: the fit.
        evaluate: what to evaluate at one draw.
        key: random key.
        draws: number of draws, at least one.

    Returns:
        What the function returns, with a first axis of draws.
    """
    draws = int(draws)  # one of NumPy's would be traced
    per_block = max(BLOCK_NUMBERS // fitted.numbers_per_draw, 1)
    raw = shared_raw(fitted, draws > per_block)
    blocks: list[dict[str, np.ndarray]] = []
    for i, start in enumerate(range(0, draws, per_block)):
        count = min(per_block, draws - start)
        block = _block(fitted, evaluate, jax.random.fold_in(key, i), count, raw)
        blocks.append({name: np.asarray(value) for name, value in block.items()})
    return {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}  # pyright: ignore


def shared_raw(fitted: Fitted, blocks: bool) -> Float[Array, "rows raw"] | None:
    """The rows' raw parameters, made once for several blocks; None for one, which makes its own.

    Args:
        fitted: the fit.
        blocks: whether there are several.
    """
    return _raw(fitted) if blocks else None


@eqx.filter_jit
def _raw(fitted: Fitted) -> Float[Array, "rows raw"]:
    return fitted.guide.fitted_raw(fitted.variational, None)


def shapes_of(fitted: Fitted, evaluate: OfOneDraw) -> dict[str, tuple[int, ...]]:
    """Shapes of what a function returns at one draw, without computing anything."""
    one = eqx.filter_eval_shape(_block, fitted, evaluate, jax.random.key(0), 1)
    return {name: tuple(value.shape[1:]) for name, value in one.items()}


def constrained(
    fitted: Fitted, raw: Float[Array, "rows raw"], theta: Sites, z: Sites, key: RandomKey
) -> dict[str, Array]:
    """One draw on the model's own scale."""
    del raw, key
    return dict(fitted.model.constrain(theta, z))


@eqx.filter_jit
def _block(
    fitted: Fitted,
    evaluate: OfOneDraw,
    key: RandomKey,
    count: int,
    raw: Float[Array, "rows raw"] | None = None,
) -> dict[str, Array]:
    guide, variational = fitted.guide, fitted.variational
    noise = independent(fitted, key, count)
    keys = jax.random.split(jax.random.fold_in(key, _OWN), count)
    raw = guide.fitted_raw(variational, None) if raw is None else raw

    def one(given: tuple[Noise, RandomKey]) -> dict[str, Any]:
        theta, z = guide.sample(variational, raw, given[0])
        return dict(evaluate(fitted, raw, theta, z, given[1]))

    first = jax.tree.map(lambda leaf: leaf[0], (noise, keys))
    numbers = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(jax.eval_shape(one, first)))
    together = max(BLOCK_NUMBERS // max(numbers, fitted.numbers_per_draw), 1)
    if together >= count:
        return jax.vmap(one)((noise, keys))
    # What is evaluated has more numbers than the latents: fewer draws at once.
    return jax.lax.map(one, (noise, keys), batch_size=together)
