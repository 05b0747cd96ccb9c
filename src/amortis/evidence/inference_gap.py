"""`inference_gap`: what the family costs, and what the function costs, in nats per datum."""

from collections.abc import Sequence

import jax
import numpy as np

from amortis._errors import ArgumentError
from amortis._require import require_count, require_key, require_kind
from amortis._types import RandomKey
from amortis.evidence.annealed import AnnealedImportanceSampling
from amortis.evidence.gap_record import InferenceGap, RowTerm
from amortis.evidence.held import Held, RowsAsked, held
from amortis.evidence.importance import ImportanceSampling
from amortis.evidence.own_optima import is_same, own_optima
from amortis.evidence.paired_elbos import Pairs, elbo_term, gain_term, paired_elbos
from amortis.evidence.row_ascent import RowAscent
from amortis.evidence.weighed import Weighed
from amortis.families import AbstractFamily, DiagonalNormal, Flow, FullRank
from amortis.fitting import Fit

_MEASURED, _ENCODER, _RICHEST, _PATH, _SEARCH = range(5)
"""What keys are for."""

_FROM_Q, _FROM_OPTIMUM, _ANNEALED = (
    "importance sampling from the encoder",
    "importance sampling from own optima",
    "annealed importance sampling",
)


def inference_gap(
    fitted: Fit,
    *,
    key: RandomKey,
    rows: RowsAsked | None = None,
    families: Sequence[AbstractFamily] | None = None,
    importance: ImportanceSampling | None = None,
    annealed: AnnealedImportanceSampling | None = None,
    search: RowAscent | None = None,
    draws: int = 1024,
) -> InferenceGap:
    r"""Take $\log p(x_n\mid\hat\theta) - \mathcal{L}_n(f)$ apart, as Cremer et al. do.

    $\underbrace{\log p - \mathcal{L}^*_{\text{richest}}}_{\text{approximation}} +
    \underbrace{\mathcal{L}^*_{\text{richest}} - \mathcal{L}^*_{\text{own}}}_{\text{family}} +
    \underbrace{\mathcal{L}^*_{\text{own}} - \mathcal{L}(f)}_{\text{amortization}}$ with
    $\mathcal{L}^*$ the ELBO of each row's own optimum in a family. Cremer's approximation gap is
    the sum of the first two. The globals are held at $\hat\theta$.

    Optima are found on draws of their own; all ELBOs are then measured on fresh draws that they
    share, so that their differences have little noise. Of the estimates of the evidence, each a
    lower bound in expectation, every second row takes the one with the larger mean over the other
    rows: the choice then knows nothing of the row's own noise, and what comes out is a lower bound
    in expectation as well.

    Args:
        fitted: a fit, or what `infer` makes of it for new data.
        key: random key.
        rows: how many rows, spread evenly over the data, or their positions; all if left out.
        families: from the poorest to the richest, by default `DiagonalNormal()`, `FullRank()` and
            `Flow()`; the fit's own is put first if it is not among them.
        importance: draws of the evidence from the encoder and from the richest optima.
        annealed: the path on which it is estimated as well, from the richest optima but flows'.
        search: how optima of families with many parameters are found.
        draws: fresh draws of each row on which ELBOs are measured, in antithetic pairs.

    Returns:
        The terms, in nats per datum.

    Raises:
        ArgumentError: a model without local latents, or whose units cannot be evaluated apart; rows
            that the data do not have; a family that no row can be given.

    References:
        Cremer, Li & Duvenaud, *Inference suboptimality in variational autoencoders* (2018).
    """
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key)")
    require_key(key)
    require_count("number of", "draws", draws)
    importance = ImportanceSampling() if importance is None else importance
    annealed = AnnealedImportanceSampling() if annealed is None else annealed
    search = RowAscent() if search is None else search
    require_kind("importance", importance, ImportanceSampling, "amortis.ImportanceSampling()")
    require_kind("annealed", annealed, AnnealedImportanceSampling, "AnnealedImportanceSampling()")
    require_kind("search", search, RowAscent, "amortis.RowAscent()")
    encoder = held(fitted, rows)
    wanted = _families(encoder, families)
    keys = [jax.random.fold_in(key, i) for i in range(_SEARCH + 1)]
    optima = own_optima(encoder, wanted, search, keys[_SEARCH])
    from_q = importance.weigh(encoder, keys[_ENCODER])
    estimates = {_FROM_Q: from_q} | _others(encoder, optima, importance, annealed, keys)
    measured = paired_elbos([*optima, encoder], keys[_MEASURED], draws)
    return _taken_apart(encoder, optima, measured, estimates)


def _others(
    encoder: Held,
    optima: list[Held],
    importance: ImportanceSampling,
    annealed: AnnealedImportanceSampling,
    keys: list[RandomKey],
) -> dict[str, Weighed]:
    """Estimates of the evidence that start from the rows' own optima."""
    # A flow that is inverted at every step would cost much, and be no better where to begin.
    begun = next((one for one in reversed(optima) if not isinstance(one.family, Flow)), encoder)
    return {
        _FROM_OPTIMUM: importance.weigh(optima[-1], keys[_RICHEST]),
        _ANNEALED: annealed.weigh(begun, keys[_PATH]),
    }


def _taken_apart(
    encoder: Held,
    optima: list[Held],
    measured: list[Pairs],
    weighed: dict[str, Weighed],
) -> InferenceGap:
    """The record, of ELBOs on shared draws (the encoder's last) and of estimates by name."""
    estimates = {name: RowTerm(name, one.log_mean, one.ses) for name, one in weighed.items()}
    evidence = crossed_choice(estimates)
    names = [f"own optimum, {_name(one.family)}" for one in optima]
    levels = [elbo_term(*each) for each in zip([*names, "encoder"], measured, strict=True)]
    own = next(i for i, one in enumerate(optima) if is_same(one.family, encoder.family))
    from_q = weighed[_FROM_Q]
    return InferenceGap(
        index=encoder.index,
        log_evidence=evidence,
        estimates=estimates,
        optima=tuple(levels[:-1]),
        encoder=levels[-1],
        terms=_terms(evidence, optima, levels, measured, own),
        total=_less("total", evidence, RowTerm("", from_q.mean_log, from_q.mean_log_ses)),
    )


def crossed_choice(estimates: dict[str, RowTerm]) -> RowTerm:
    """Of several estimates the one that is larger on the other half of the rows, row by row.

    Args:
        estimates: of the same rows, each with noise that is independent from row to row.
    """
    every = list(estimates.values())
    values, ses = (np.stack([getattr(e, name) for e in every]) for name in ("rows", "row_ses"))
    found, noise = values[0].copy(), ses[0].copy()
    count = values.shape[1]
    if count < 2:  # nobody else to ask: the first, whatever the others say
        return RowTerm("log evidence", found, noise)
    for half in (0, 1):
        others = np.nan_to_num(values[:, 1 - half :: 2].mean(axis=1), nan=-np.inf)
        best = int(np.argmax(others))
        found[half::2], noise[half::2] = values[best, half::2], ses[best, half::2]
    return RowTerm("log evidence", found, noise)


def _families(
    encoder: Held, families: Sequence[AbstractFamily] | None
) -> tuple[AbstractFamily, ...]:
    given = (DiagonalNormal(), FullRank(), Flow()) if families is None else tuple(families)
    if not given:
        raise ArgumentError("families is empty; expected at least one: leave it out")
    for one in given:
        require_kind("families", one, AbstractFamily, "(amortis.FullRank(),)")
    if any(is_same(one, encoder.family) for one in given):
        return given
    return (encoder.family, *given)


def _terms(
    evidence: RowTerm,
    optima: list[Held],
    levels: list[RowTerm],
    measured: list[Pairs],
    own: int,
) -> tuple[RowTerm, ...]:
    richest = _name(optima[-1].family)
    terms = [_less(f"approximation gap, {richest}", evidence, levels[len(optima) - 1])]
    for i in range(len(optima) - 1, own, -1):
        rich, poor = (_name(optima[j].family) for j in (i, i - 1))
        terms.append(gain_term(f"family gap, {poor} to {rich}", measured[i], measured[i - 1]))
    terms.append(gain_term("amortization gap", measured[own], measured[-1]))
    return tuple(terms)


def _less(name: str, one: RowTerm, other: RowTerm) -> RowTerm:
    """The difference of two terms whose noise is independent."""
    return RowTerm(name, one.rows - other.rows, np.hypot(one.row_ses, other.row_ses))


def _name(family: AbstractFamily) -> str:
    return type(family).__name__
