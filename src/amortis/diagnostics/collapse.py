"""Whether the locals' factors carry information about the data, or have collapsed to the prior."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from amortis._types import RandomKey
from amortis.fitting import Fit, independent_noise, raw_of, seed_of
from amortis.guide import Guide, Noise
from amortis.structure import Joint

_ACTIVE = 0.01
_MOST_ROWS, _MOST_NUMBERS = 512, 20_000_000
_COLLAPSE = 4  # what noise is for


@dataclasses.dataclass(frozen=True)
class Collapse:
    r"""What each latent coordinate learns from the data.

    Attributes:
        names: of the coordinates, such as `z` or `z[3]`.
        kl: $\frac1N\sum_n KL(q(z_{nj})\,\|\,p(z_{nj}\mid\theta))$ of each, in nats per datum; NaN
            where the prior of a coordinate alone is not known.
        active: whether the means vary over the data by more than a hundredth of the variance of
            all draws of the coordinate.
        mutual_information: between the data's number and z under q, in nats; at most the logarithm
            of the rows it was measured on.
        most_information: that logarithm.
    """

    names: tuple[str, ...]
    kl: Float[np.ndarray, " d"]
    active: Bool[np.ndarray, " d"]
    mutual_information: float
    most_information: float

    def __str__(self) -> str:
        kl = self.kl[np.isfinite(self.kl)]
        each = (
            f", KL to the prior {kl.min():.2g} to {kl.max():.2g} nats per datum" if len(kl) else ""
        )
        if len(kl) == 1:
            each = f", KL to the prior {kl[0]:.2g} nats per datum"
        return (
            f"{int(self.active.sum())} of {len(self.active)} active{each}; information "
            f"{self.mutual_information:.2g} of at most {self.most_information:.2g} nats"
        )

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON; what is not finite is None."""
        return {
            "names": list(self.names),
            "kl_nats_per_datum": [v if math.isfinite(v) else None for v in self.kl.tolist()],
            "active": self.active.tolist(),
            "mutual_information_nats": (
                self.mutual_information if math.isfinite(self.mutual_information) else None
            ),
            "most_information_nats": self.most_information,
        }


def collapse_of(fitted: Fit, *, key: RandomKey, draws: int = 32) -> Collapse:
    r"""Measure how much q of the locals depends on the data.

    Args:
        fitted: a fit.
        key: random key.
        draws: draws on which divergences are measured, in antithetic pairs.

    Returns:
        The measures.

    References:
        Burda, Grosse & Salakhutdinov, *Importance Weighted Autoencoders* (2016) for active units;
        Hoffman & Johnson, *ELBO surgery* (2016) for the mutual information.
    """
    guide = fitted.guide
    means, sds = (np.asarray(m, np.float64) for m in fitted.local_moments())
    # Where a fit has diverged these are infinite, and the answers no numbers.
    with np.errstate(over="ignore", invalid="ignore"):
        between, within = means.var(axis=0), np.mean(sds**2, axis=0)
    active = between > _ACTIVE * (between + within)
    rows = min(len(means), _MOST_ROWS)
    some = np.linspace(0, len(means) - 1, rows).astype(int)
    generator = np.random.default_rng(seed_of(key, _COLLAPSE, 1))
    information = _information(means[some], sds[some], generator)
    kl = _divergences(fitted, key, draws)
    return Collapse(_names(guide), kl, active, information, math.log(rows))


def _names(guide: Guide) -> tuple[str, ...]:
    names: list[str] = []
    for site, shape in guide.z.shapes.items():
        places = np.ndindex(*shape)
        names += [f"{site}[{', '.join(map(str, at))}]" if at else site for at in places]
    return tuple(names)


def _information(
    means: Float[np.ndarray, "rows d"],
    sds: Float[np.ndarray, "rows d"],
    generator: np.random.Generator,
    draws: int = 8,
) -> float:
    r"""$\frac1N\sum_n E_{q_n}[\log q_n(z) - \log\frac1N\sum_m q_m(z)]$ by antithetic draws.

    NaN where a factor has no finite mean or sd.
    """
    if not (np.isfinite(means).all() and np.isfinite(sds).all() and (sds > 0.0).all()):
        return math.nan
    half = generator.standard_normal((draws // 2, *means.shape))
    precision = sds**-2.0
    constant = -np.sum(np.log(sds), axis=1)
    found = 0.0
    for noise in (*half, *-half):
        z = means + sds * noise
        # All pairs through the expanded square, so that nothing of size rows x rows x d is held.
        square = (z**2) @ precision.T - 2.0 * z @ (means * precision).T
        square += np.sum(means**2 * precision, axis=1)
        log_q = constant - 0.5 * square
        own = np.diagonal(log_q)
        top = log_q.max(axis=1)
        mixture = top + np.log(np.mean(np.exp(log_q - top[:, None]), axis=1))
        found += float(np.mean(own - mixture)) / draws
    return max(found, 0.0)


def _divergences(fitted: Fit, key: RandomKey, draws: int) -> Float[np.ndarray, " d"]:
    guide, size = fitted.guide, fitted.model.size
    unknown = np.full(guide.z.dimension, np.nan)
    joint = fitted.model.joint()
    axes = [a for a in joint.axes if set(guide.z.shapes) <= set(a.sites) and a.size == size]
    if not axes or not guide.z.dimension:
        return unknown
    pairs = max(min(draws // 2, _MOST_NUMBERS // (2 * size * guide.z.dimension)), 1)
    own = seed_of(key, _COLLAPSE, 2)
    half = independent_noise(guide, seed_of(key, _COLLAPSE), own, pairs, size)
    noise = jax.tree.map(lambda leaf: jnp.concatenate([leaf, -leaf]), half)
    raw = raw_of(guide, fitted.variational, None)
    sites = axes[0].sites
    held = {"globals": fitted.variational["globals"]}
    found = _mean_log_ratios(
        _Known(joint), guide.factors(), held, raw, noise, dict(joint.arrays), dict(sites)
    )
    parts: list[np.ndarray] = []
    for name, shape in guide.z.shapes.items():
        values, joint_log_det = (np.asarray(v, np.float64) for v in found[name])
        length = math.prod(shape)
        known = values.shape == (length,) and joint_log_det == 0.0
        parts.append(values if known else np.full(length, np.nan))
    return np.concatenate(parts)


class _Known:
    """A joint that compiled functions know by identity."""

    def __init__(self, joint: Joint) -> None:
        self.joint = joint


@eqx.filter_jit
def _mean_log_ratios(
    known: _Known,
    guide: Guide,
    variational: Any,
    raw: Array,
    noise: Noise,
    arrays: dict[str, Array],
    sites: dict[str, int],
) -> dict[str, tuple[Array, Array]]:
    """Mean of log q - log p over draws and rows, by site and coordinate."""
    joint = known.joint

    def one(noise: Noise) -> dict[str, tuple[Array, Array]]:
        theta, z = guide.sample(variational, raw, noise)
        local = {n: jnp.moveaxis(v, 0, sites[n]) for n, v in z.items()}
        every = {**arrays, **joint.constants}
        elements = joint.density.elements({**theta, **local}, every)
        mean, sd = jax.vmap(guide.local_family.moments)(raw)
        standard = (guide.z.join(z) - mean) / sd
        log_q = -0.5 * standard**2 - jnp.log(sd) - 0.5 * math.log(2.0 * math.pi)
        by_site = guide.z.split(log_q)
        return {
            name: _by_coordinate(by_site[name], elements.get(name, ()), sites[name]) for name in z
        }

    return jax.tree.map(lambda v: jnp.mean(v, axis=0), jax.lax.map(one, noise))


def _by_coordinate(log_q: Array, log_p: tuple[Array, ...], axis: int) -> tuple[Array, Array]:
    """Mean over rows, for each coordinate, and the size of a log determinant that has none.

    The first is empty where the prior is not a product over coordinates. Bijections of vectors
    give one log determinant for all coordinates, zero on the real line.
    """
    nothing, rows = jnp.zeros(()), log_q.shape[0]
    total = jnp.mean(jnp.reshape(log_q, (rows, -1)), axis=0)
    if not log_p or log_p[0].size != log_q.size:
        return jnp.zeros(0), nothing
    joint = nothing
    for part in log_p:
        if part.size != log_q.size:
            joint = joint + jnp.max(jnp.abs(part))
            continue
        first = jnp.moveaxis(part, axis, 0)
        total = total - jnp.mean(jnp.reshape(first, (rows, -1)), axis=0)
    return total, joint
