"""ELBOs of several factors of each row on fresh draws that they share."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from amortis._types import RandomKey
from amortis.evidence.gap_record import RowTerm
from amortis.evidence.held import Held
from amortis.evidence.row_draws import log_weights

Pairs = Float[np.ndarray, "pairs rows"]


def paired_elbos(factors: Sequence[Held], key: RandomKey, draws: int) -> list[Pairs]:
    r"""$\log p(x_n, z\mid\hat\theta) - \log q(z)$ of several factors, averaged over mirrored pairs.

    Args:
        factors: the same rows with different factors.
        key: random key, whose noise all of them see.
        draws: number of draws, rounded up to two pairs or more.
    """
    pairs = max((draws + 1) // 2, 2)
    found: list[Pairs] = []
    for one in factors:
        values = np.zeros((pairs, len(one.index)))
        for place, weights in log_weights(one, key, 2 * pairs, mirrored=True):
            values[:, place] = 0.5 * (weights[:pairs] + weights[pairs:])
        found.append(values)
    return found


def elbo_term(name: str, pairs: Pairs) -> RowTerm:
    """The rows' ELBOs, with the standard errors of the pairs' means.

    Args:
        name: what the factors are.
        pairs: from `paired_elbos`.
    """
    return RowTerm(name, np.asarray(pairs.mean(axis=0)), _se(pairs))


def gain_term(name: str, better: Pairs, worse: Pairs) -> RowTerm:
    """What some factors gain on others, on the draws that they share.

    Args:
        name: of the term.
        better: from `paired_elbos`.
        worse: likewise.
    """
    return elbo_term(name, better - worse)


def _se(pairs: Pairs) -> Float[np.ndarray, " rows"]:
    return np.asarray(pairs.std(axis=0, ddof=1) / math.sqrt(len(pairs)))
