r"""How good topics are: perplexity of documents to complete, coherence, diversity.

Topics are distributions of words, and a model says what a document's words are given its
proportions; how either was found does not matter here.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

import amortis

Proportions = Float[np.ndarray, "documents topics"]
LogWords = Float[np.ndarray, "documents words"]

_ROWS = 1000
TOP, TOP_DIVERSE = 10, 25
"""Words of a topic for its coherence, and for diversity."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """What is measured of topics and proportions.

    Attributes:
        perplexity: of the words of second halves.
        coherence: normalized pointwise mutual information, mean over topics.
        by_topic: the same of each topic.
        diversity: share of different words among the topics' first 25.
        top_words: the first ten of each topic.
    """

    perplexity: float
    coherence: float
    by_topic: tuple[float, ...]
    diversity: float
    top_words: tuple[tuple[str, ...], ...]


def perplexity(
    counts: amortis.SparseCounts,
    proportions: Proportions,
    log_words: Callable[[Proportions], LogWords],
) -> float:
    r"""$\exp(-\sum_{dw} n_{dw}\log p(w\mid\hat\theta_d)/\sum_{dw} n_{dw})$.

    Args:
        counts: words of each document that its proportions have not seen.
        proportions: $\hat\theta$.
        log_words: gives the log probabilities of all words for proportions.
    """
    total = 0.0
    for start in range(0, len(counts), _ROWS):
        log_p = np.asarray(log_words(proportions[start : start + _ROWS]), np.float64)
        total += float(np.sum(counts.rows(start, start + _ROWS) * log_p))
    return math.exp(-total / float(counts.totals.sum()))


def unigram_perplexity(train: amortis.SparseCounts, test: amortis.SparseCounts) -> float:
    """Of test documents under one distribution of words: training counts, plus one."""
    raised = train.column_totals + 1.0
    log_p = np.log(raised / raised.sum())
    return math.exp(-float(test.column_totals @ log_p) / float(test.totals.sum()))


def top_words(topics: Float[np.ndarray, "topics words"], count: int) -> Int[np.ndarray, "topics n"]:
    """The most probable words of each topic, the first one first."""
    return np.argsort(-topics, axis=1, kind="stable")[:, :count]


def coherence(
    train: amortis.SparseCounts, top: Int[np.ndarray, "topics n"]
) -> Float[np.ndarray, " topics"]:
    r"""Mean of $\log\frac{p(i,j)}{p(i)p(j)} / -\log p(i,j)$ over pairs of a topic's top words.

    Probabilities are shares of the training documents that hold a word, or both; of pairs that
    never occur together the value is −1, of those that always do, 1.

    Args:
        train: documents.
        top: words of each topic.

    References:
        Lau, Newman & Baldwin, *Machine reading tea leaves* (2014).
    """
    chosen, place = np.unique(top, return_inverse=True)
    place = place.reshape(top.shape)
    together = np.zeros((len(chosen), len(chosen)))
    for block in train.blocks(_ROWS):
        held = (block[:, chosen] > 0).astype(np.float32)
        together += held.T @ held
    joint = together / len(train)
    alone = np.diagonal(joint)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log(joint / np.outer(alone, alone)) / -np.log(joint)
    values = np.where(joint == 0.0, -1.0, np.where(joint == 1.0, 1.0, values))
    pairs = np.triu_indices(top.shape[1], 1)
    return np.array([values[np.ix_(each, each)][pairs].mean() for each in place])


def diversity(topics: Float[np.ndarray, "topics words"]) -> float:
    """Share of different words among the first 25 of all topics.

    References:
        Dieng, Ruiz & Blei, *Topic modeling in embedding spaces* (2020).
    """
    top = top_words(topics, TOP_DIVERSE)
    return len(np.unique(top)) / top.size


def scored(
    topics: Float[np.ndarray, "topics words"],
    train: amortis.SparseCounts,
    words: tuple[str, ...],
    completed: float,
) -> Scores:
    """All scores of topics.

    Args:
        topics: weights of words; only their order within a topic matters.
        train: documents for the coherence.
        words: the vocabulary.
        completed: perplexity of second halves.
    """
    top = top_words(topics, TOP)
    each = coherence(train, top)
    named = tuple(tuple(words[i] for i in line) for line in top)
    by_topic = tuple(float(value) for value in each)
    return Scores(completed, float(each.mean()), by_topic, diversity(topics), named)
