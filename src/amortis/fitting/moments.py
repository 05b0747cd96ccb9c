"""Means and standard deviations of a fit on the model's own scale, by a deterministic rule."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis.fitting.draws import BLOCK_NUMBERS, Fitted, shared_raw
from amortis.guide import Noise

_MOMENT_POINTS = 512
_SCATTERED_NUMBERS = 20_000_000


def moments_of(fitted: Fitted) -> dict[str, tuple[Array, Array]]:
    """Means and sds of all sites; see `Fit.moments`."""
    guide = fitted.guide
    rule = numerics.low_discrepancy(_MOMENT_POINTS, guide.z.dimension + guide.noise_size).astype(
        jnp.result_type(float)
    )
    found = _moments(fitted, rule, np.zeros(fitted.model.size, int))
    mixing = [name for name, (mean, _) in found.items() if _may_mix(fitted, name, mean.shape)]
    if mixing:
        # Their units' points must not come in the same order, or units would seem correlated.
        generator = np.random.default_rng(0)
        half = rule[: _MOMENT_POINTS // 2][generator.permutation(_MOMENT_POINTS // 2)]
        shift = generator.integers(0, _MOMENT_POINTS // 2, fitted.model.size)
        again = _moments(fitted, np.concatenate([half, -half]), shift)
        found |= {name: again[name] for name in mixing}
    return found


def _may_mix(fitted: Fitted, name: str, shape: tuple[int, ...]) -> bool:
    """Whether a site may combine several units: a deterministic one that has no unit axis."""
    if name in fitted.model.globals_ or name in fitted.model.locals_:
        return False
    return not (fitted.model.separable and fitted.model.size in shape)


def _moments(fitted: Fitted, rule: np.ndarray, shift: np.ndarray) -> dict[str, tuple[Array, Array]]:
    per_block = _whole_fraction(BLOCK_NUMBERS // fitted.numbers_per_draw)
    raw = shared_raw(fitted, per_block < _MOMENT_POINTS)
    parts = [
        _sums(
            fitted,
            raw,
            jnp.asarray(rule),
            jnp.asarray(shift),
            jnp.arange(start, start + per_block),
        )
        for start in range(0, _MOMENT_POINTS, per_block)
    ]
    return {name: _combined([part[name] for part in parts]) for name in parts[0]}


def scattered_noise(fitted: Fitted) -> Noise:
    """A rule under which no two units see their points in the same order.

    For expectations of functions that combine units, as the product rule of the ELBO, which adds
    over units, is not. Its second half mirrors the first, so that odd terms vanish.

    Args:
        fitted: the fit; the more numbers it has per draw, the fewer points there are.
    """
    guide, size = fitted.guide, fitted.model.size
    points = max(_whole_fraction(_SCATTERED_NUMBERS // fitted.numbers_per_draw), 16)
    rule = numerics.low_discrepancy(points, guide.z.dimension + guide.noise_size)
    rule, half = rule.astype(jnp.result_type(float)), points // 2
    generator = np.random.default_rng(0)
    mixed = rule[:half, : guide.z.dimension][generator.permutation(half)]
    order = np.arange(half)[:, None] + generator.integers(0, half, size)
    z = mixed[order % half]
    return Noise.equal(
        jnp.asarray(rule[:, guide.z.dimension :]), jnp.asarray(np.concatenate([z, -z]))
    )


def _whole_fraction(most: int) -> int:
    """The largest power of two up to `most` and the number of points, so that blocks are equal."""
    return min(_MOMENT_POINTS, 2 ** int(math.log2(max(most, 1))))


def _constrained(
    fitted: Fitted, raw: Float[Array, "rows raw"] | None, noise: Noise
) -> dict[str, Array]:
    model, guide, variational = fitted.model, fitted.guide, fitted.variational
    raw = guide.fitted_raw(variational, None) if raw is None else raw

    def one(noise: Noise) -> dict[str, Any]:
        theta, z = guide.sample(variational, raw, noise)
        return dict(model.constrain(theta, z))

    return jax.vmap(one)(noise)


@eqx.filter_jit
def _sums(
    fitted: Fitted,
    raw: Float[Array, "rows raw"] | None,
    rule: Array,
    shift: Array,
    place: Array,
) -> dict[str, tuple[Array, Array, Array]]:
    """Sums, sums of squares about the block's own mean, and that mean, over points of a rule.

    Args:
        fitted: the fit.
        raw: of its rows' factors, where they are known.
        rule: the whole rule, locals first; its second half mirrors the first.
        shift: how far each row's points are shifted within the first half.
        place: the block's places in the rule.
    """
    d_z, half = fitted.guide.z.dimension, rule.shape[0] // 2
    sign = jnp.where(place < half, 1.0, -1.0).astype(rule.dtype)
    order = (place[:, None] + shift[None, :]) % half
    noise = Noise.equal(rule[place, d_z:], sign[:, None, None] * rule[order, :d_z])
    values = _constrained(fitted, raw, noise)
    return {
        name: (
            jnp.sum(value, axis=0),
            jnp.sum(jnp.square(value - jnp.mean(value, axis=0)), axis=0),
            jnp.mean(value, axis=0),
        )
        for name, value in values.items()
    }


def _combined(parts: list[tuple[Array, Array, Array]]) -> tuple[Array, Array]:
    """Mean and sd from the sums of equal blocks, without the cancellation of E[v^2] - E[v]^2."""
    total, within, means = (jnp.stack(column) for column in zip(*parts, strict=True))
    mean = jnp.sum(total, axis=0) / _MOMENT_POINTS
    between = _MOMENT_POINTS / len(parts) * jnp.square(means - mean)
    return mean, jnp.sqrt(jnp.sum(within + between, axis=0) / _MOMENT_POINTS)


@eqx.filter_jit
def local_moments_of(fitted: Fitted) -> tuple[Array, Array]:
    """Means and sds of the unconstrained locals; see `Fit.local_moments`."""
    raw = fitted.guide.fitted_raw(fitted.variational, None)
    return jax.vmap(fitted.guide.local_family.moments)(raw)
