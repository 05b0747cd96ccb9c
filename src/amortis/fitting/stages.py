r"""Fits in two stages: mean-field first, then the factors that tie latents, from where it ended.

Factors that tie the globals, or locals to globals, are started where linear response of the
mean-field fit says that they are: at the covariance of the globals, and at rows that answer to the
globals as their own optima do. Of a Gaussian posterior that is the optimum itself.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from amortis import numerics
from amortis._types import Parameters, RandomKey
from amortis.families import (
    AbstractAffineFamily,
    AbstractFamily,
    Conditional,
    DiagonalNormal,
    Framed,
    FramedMean,
    Mixture,
)
from amortis.fitting.approximation import LogJoint
from amortis.fitting.distilled import distilled
from amortis.fitting.frame import frame_of, has_ridges, unframed
from amortis.fitting.linear_response import row_responses
from amortis.fitting.mixture_start import mixture_at_modes
from amortis.fitting.record import Fit
from amortis.guide import Guide
from amortis.objectives import FreeBitsLoss, NegativeElbo, RenyiLoss, SemiAmortizedElbo
from amortis.optimise import AbstractMethod, FixedDraws, Monitor, Status, minimise, minimise_in_turn

_MODES = 2**20
"""What a key is for, beside the function's start."""

_NOTHING = 1e-2
"""Nats below its start that a second stage may end without having gone astray."""

_COMPARED, _WILD = 512, 3.0
"""Draws on which a second stage is compared with its start, and how much more its log weights may
vary."""

Loss = NegativeElbo | SemiAmortizedElbo | RenyiLoss | FreeBitsLoss


@dataclasses.dataclass(frozen=True)
class Search:
    """How the second stage is searched for.

    Attributes:
        method: the method.
        key: random key of its noise.
        monitor: called after every block.
    """

    method: AbstractMethod
    key: RandomKey
    monitor: Monitor | None


def mean_field_of(guide: Guide) -> Guide | None:
    """The guide whose factors tie nothing, with which a guide that ties something begins.

    Args:
        guide: any guide.

    Returns:
        The guide; None where the given one is fitted as it is.
    """
    family, locals_ = guide.global_family, guide.local_family
    if not guide.theta.dimension:
        return None
    ties_rows = isinstance(locals_, Conditional) and isinstance(family, DiagonalNormal)
    if not (isinstance(family, AbstractAffineFamily) or ties_rows):
        return None
    if not isinstance(locals_, Conditional):
        return dataclasses.replace(guide, global_family=DiagonalNormal())
    outputs = locals_.given.raw_size(guide.z.dimension)
    return dataclasses.replace(
        guide,
        global_family=DiagonalNormal(),
        local_family=locals_.given,
        offset=guide.offset[:outputs],
        shape=dataclasses.replace(guide.shape, outputs=outputs, given=0),
    )


def from_mean_field(first: Fit, loss: Loss, search: Search, key: RandomKey) -> Fit:
    """The second stage, from a fit of `mean_field_of` its guide.

    Args:
        first: the first stage.
        loss: of the guide that the user chose.
        search: how to search.
        key: random key of the function's parameters, where it has to start anew.

    Returns:
        The fit, with the history of both; the first stage in the words of the second, if it
        diverged or was interrupted.
    """
    ended = first.status in (Status.DIVERGED, Status.INTERRUPTED)
    family = loss.guide.global_family
    if ended:  # nobody waits for a Hessian who has pressed Ctrl-C
        mean, sd = first.global_moments()
        root = jnp.diag(sd)
    else:
        mean, root = frame_of(first)
        root = _alone(root) if isinstance(family, DiagonalNormal) else root
    start = _globals_at(family, mean, root)
    wanted = dataclasses.replace(loss.guide, offset=first.guide.offset)
    if isinstance(loss.guide.local_family, Conditional):
        wanted = dataclasses.replace(loss.guide, offset=_padded(first, loss.guide))
        locals_ = _answering(first, wanted, root, ended, key)
    else:
        locals_ = first.variational["locals"]
    if ended:
        variational = {"globals": start, "locals": locals_}
        return dataclasses.replace(first, guide=wanted, variational=variational)
    if isinstance(family, AbstractAffineFamily):
        framed = Framed(family, mean, root)
        wanted = dataclasses.replace(wanted, global_family=framed)
        start = _begun(framed, LogJoint(first.model, wanted.theta), key)
    begin: Parameters = {"globals": start, "locals": locals_}
    loss = _with_guide(loss, wanted)
    found = _continued(first, begin, loss, search)
    if family.is_identified or not isinstance(loss, NegativeElbo):
        return found
    # Flows and mixtures may end anywhere; what they start from is a normal known to be good.
    before = unframed(dataclasses.replace(found, guide=wanted, variational=begin))
    return _better(before, found, key)


def _better(before: Fit, after: Fit, key: RandomKey) -> Fit:
    """The later fit, unless it is worse than where it started, on common draws."""
    ours, theirs = (f.elbo_pairs(key=key, draws=_COMPARED) for f in (after, before))
    if np.isfinite(ours).all() and np.isfinite(theirs).all():
        gain = ours - theirs
        noise = gain.std(ddof=1) / np.sqrt(len(gain))
        # Densities overflow far out: a gain from there comes with weights that are all over.
        wild = ours.std() > _WILD * (theirs.std() + 1.0)
        if gain.mean() > -4.0 * noise and not wild:
            return after
        if gain.mean() > -_NOTHING and not wild:  # as from a start that is the posterior itself
            return dataclasses.replace(before, status=after.status, history=after.history)
    status = after.status if after.status is Status.INTERRUPTED else Status.DIVERGED
    return dataclasses.replace(before, status=status, history=after.history)


def along_ridges(first: Fit, loss: Loss, search: Search) -> Fit:
    """A mean-field fit whose mean is searched for once more where the posterior has ridges.

    Args:
        first: a fit of globals alone.
        loss: its loss.
        search: how to search.
    """
    if first.status in (Status.DIVERGED, Status.INTERRUPTED) or first.guide.theta.dimension < 2:
        return first
    if not isinstance(search.method, FixedDraws):
        return first  # what else was asked for takes the steps that it was asked to take
    mean, root = frame_of(first)
    if not has_ridges(first, root):
        return first
    family = FramedMean(mean, root)
    start = {
        "globals": family.framed(jnp.asarray(first.variational["globals"])),
        "locals": first.variational["locals"],
    }
    guide = dataclasses.replace(first.guide, global_family=family)
    return _continued(first, start, _with_guide(loss, guide), search)


def _with_guide(loss: Loss, guide: Guide) -> Loss:
    if isinstance(loss, SemiAmortizedElbo | RenyiLoss | FreeBitsLoss):
        return dataclasses.replace(loss, elbo=dataclasses.replace(loss.elbo, guide=guide))
    return dataclasses.replace(loss, guide=guide)


def _alone(root: jax.Array) -> jax.Array:
    """A diagonal root, of a factor that ties no globals: each one's sd with the others held."""
    inverse = np.linalg.inv(np.asarray(root, np.float64))
    sds = 1.0 / np.sqrt(np.sum(np.square(inverse), axis=0))
    return jnp.asarray(np.diag(sds), root.dtype)


def _globals_at(family: AbstractFamily, mean: jax.Array, root: jax.Array) -> jax.Array:
    if isinstance(family, AbstractAffineFamily):
        return family.gaussian(mean, root)
    return jnp.concatenate([mean, jnp.log(jnp.diagonal(root))])


def _begun(framed: Framed, log_joint: LogJoint, key: RandomKey) -> jax.Array:
    """A standard normal in the frame; of a mixture what climbs to several modes say, if any do."""
    family = framed.inner
    if isinstance(family, Mixture):
        at_modes = mixture_at_modes(family, log_joint, numerics.forked(key, _MODES))
        if at_modes is not None:
            return framed.framed(at_modes)
    return family.start(log_joint.layout.dimension, 0.0)


def _padded(first: Fit, guide: Guide) -> jax.Array:
    """Raw parameters where the function's output is zero: those of the first stage, no slopes."""
    offset = first.guide.offset
    return jnp.pad(offset, (0, guide.shape.outputs - offset.shape[0]))


def _answering(
    first: Fit, guide: Guide, root: jax.Array, ended: bool, key: RandomKey
) -> Parameters:
    """Parameters of the function at which rows answer to the globals as their optima do."""
    raw = np.asarray(first.guide.fitted_raw(first.variational, None), np.float64)
    slopes = np.zeros((*raw.shape, guide.theta.dimension))
    if not ended:
        found = row_responses(first.arrays, first.fixed_draws)
        slopes = slopes if found is None else found @ np.asarray(root, np.float64)
    every = np.concatenate([raw[:, None], np.moveaxis(slopes, 2, 1)], axis=1)
    return distilled(guide, every.reshape(len(raw), -1), first.local_moments()[1], key)


def _continued(first: Fit, start: Parameters, loss: Loss, search: Search) -> Fit:
    """A second optimisation after the first, in another frame."""
    starts = jax.tree.map(lambda leaf: np.asarray(leaf)[None], start)
    run = minimise_in_turn if isinstance(search.method, FixedDraws) else minimise
    outcome = run(search.method, loss, starts, key=search.key, monitor=search.monitor)
    history = first.history.followed_by(outcome.history)
    found = Fit(first.model, loss.guide, outcome.parameters, outcome.status, history)
    return unframed(found)
