"""The ELBO's optimum of each row in families of factors."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._require import shown
from amortis._types import RandomKey
from amortis.evidence.held import Held, frames, no_globals
from amortis.evidence.row_ascent import RowAscent
from amortis.evidence.row_draws import blocks_of_rows, log_weights
from amortis.evidence.row_modes import at_modes
from amortis.families import (
    AbstractFamily,
    DiagonalNormal,
    Flow,
    FullRank,
)
from amortis.fitting import optimal_rows, polishing_noise, row_noise

_MOST_NEWTON = 14
"""Raw parameters of a row up to which the Hessian is taken: a full covariance of three latents."""

_NEWTON_DRAWS, _CHOICE_DRAWS = 4096, 256


def own_optima(
    encoder: Held, families: Sequence[AbstractFamily], search: RowAscent, key: RandomKey
) -> list[Held]:
    """The rows with factors of their own, the best of each family.

    By Newton's steps on a rule that stays where a row has few raw parameters, else by `search`.
    That begins with full covariances, from the encoder's factor or Laplace's approximation, which
    is better: what they find is the frame in which means of other families are moved, and where
    those start. A row of the encoder's own
    family whose ELBO is not better then, on draws that are used for nothing else, keeps its factor.

    Args:
        encoder: the rows, and the factors to start from.
        families: of the optima.
        search: for families with many parameters.
        key: random key.

    Raises:
        ArgumentError: a family that no row can be given.
    """
    for family in families:
        _require_reachable(family, encoder.family)
    keys = jax.random.split(key, 3)
    begun = _better(in_family(encoder, FullRank()), at_modes(encoder), keys[2])
    scout = _at_optimum(begun, None, search, keys[0])
    found: list[Held] = []
    for family in families:
        if isinstance(family, FullRank):
            best = scout
        else:
            best = _at_optimum(in_family(scout, family, encoder), scout, search, keys[1])
        own = is_same(family, encoder.family)
        found.append(_better(best, encoder, keys[2]) if own else best)
    return found


def is_same(one: AbstractFamily, other: AbstractFamily) -> bool:
    """Whether two families are one, with the same choices."""
    return type(one) is type(other) and one == other


def in_family(held: Held, family: AbstractFamily, otherwise: Held | None = None) -> Held:
    """The rows with the factors of another family that are closest to Gaussian ones.

    Args:
        held: the rows with Gaussian factors.
        family: flows and full covariances hold every Gaussian; of diagonal ones the closest has
            its precisions.
        otherwise: what other families start from, the rows with factors of that family.
    """
    mean, root = frames(held.family, held.raw, held.guide.z.dimension)
    if isinstance(family, DiagonalNormal):
        inverse = jax.vmap(jnp.linalg.inv)(root)
        log_sd = -0.5 * jnp.log(jnp.sum(jnp.square(inverse), axis=1))
        return held.with_factors(family, jnp.concatenate([mean, log_sd], axis=1))
    if isinstance(family, FullRank | Flow):
        return held.with_factors(family, jax.vmap(family.gaussian)(mean, root))
    assert otherwise is not None  # the family has been required to be this one
    return otherwise


def _require_reachable(family: AbstractFamily, own: AbstractFamily) -> None:
    if isinstance(family, DiagonalNormal | FullRank | Flow) or is_same(family, own):
        return
    raise ArgumentError(
        f"families has {shown(family)}; expected DiagonalNormal(), FullRank(), Flow(), or the "
        f"fit's own: leave it out"
    )


def _at_optimum(start: Held, scout: Held | None, search: RowAscent, key: RandomKey) -> Held:
    dimension = start.guide.z.dimension
    if start.raw.shape[1] <= _MOST_NEWTON:
        return start.with_factors(start.family, _by_newton(start, key))
    near = start if scout is None else scout
    root = frames(near.family, near.raw, dimension)[1]
    climbed = start.with_factors(start.family, search.climbed(start, root, key))
    return _better(climbed, start, jax.random.fold_in(key, 1))


def _better(one: Held, other: Held, key: RandomKey) -> Held:
    """Row by row the factor with the better ELBO, of one family."""
    ours, theirs = (_means(each, key) for each in (one, other))
    best = jnp.where(jnp.asarray(ours > theirs)[:, None], one.raw, other.raw)
    return one.with_factors(one.family, best)


def _by_newton(held: Held, key: RandomKey) -> Float[Array, "rows raw"]:
    guide, found = held.guide, held.raw
    many = polishing_noise(guide, _NEWTON_DRAWS)
    for place in blocks_of_rows(len(held.index), _NEWTON_DRAWS * held.width):
        index = jnp.asarray(held.index[place])
        noise = row_noise(guide, key, len(place)) if many is None else many
        parts = (held.model, guide, no_globals(), held.raw[place], noise, index)
        found = found.at[place].set(optimal_rows(*parts).raw)
    return found


def _means(held: Held, key: RandomKey) -> Float[np.ndarray, " rows"]:
    """The rows' ELBOs; minus infinity where they are not known."""
    found = np.zeros(len(held.index))
    for place, weights in log_weights(held, key, _CHOICE_DRAWS, mirrored=True):
        found[place] = weights.mean(axis=0)
    return np.where(np.isfinite(found), found, -np.inf)
