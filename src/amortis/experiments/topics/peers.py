"""scikit-learn's latent Dirichlet allocation, in batches of all documents and online."""

import dataclasses
import time
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

import amortis
from amortis.experiments.topics.corpus import Corpus
from amortis.experiments.topics.results import TopicRun
from amortis.experiments.topics.scores import perplexity, scored
from amortis.experiments.topics.sklearn_import import latent_dirichlet_allocation


@dataclasses.dataclass(frozen=True)
class Peer:
    """Settings of scikit-learn.

    Attributes:
        name: for people.
        method: batch or online.
        passes: over the documents.
        batch: documents per step, online.
        doc_topic_prior: concentration of proportions; None for its default, one over K.
        topic_word_prior: concentration of topics, at most one; None for one over K.
    """

    name: str
    method: str
    passes: int
    batch: int = 256
    doc_topic_prior: float | None = None
    topic_word_prior: float | None = None

    @property
    def words(self) -> str:
        """The choices in words."""
        if self.doc_topic_prior is None:
            return f"priors 1/K, {self.passes} passes"
        return (
            f"priors {self.doc_topic_prior:g} and {self.topic_word_prior:g}, {self.passes} passes"
        )


def peer_run(peer: Peer, corpus: Corpus, topics: int, seed: int) -> TopicRun:
    """Fit scikit-learn's model on the same documents and complete the same halves.

    Args:
        peer: its settings.
        corpus: the documents.
        topics: K.
        seed: of its random state.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    made = latent_dirichlet_allocation()(
        topics,
        learning_method=peer.method,
        max_iter=peer.passes,
        batch_size=peer.batch,
        doc_topic_prior=peer.doc_topic_prior,
        topic_word_prior=peer.topic_word_prior,
        random_state=seed,
    )
    train, half = _matrix(corpus.train), _matrix(corpus.first_half)
    began = time.perf_counter()
    made.fit(train)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    theta = np.asarray(made.transform(half))
    completing = time.perf_counter() - began
    beta = made.components_ / made.components_.sum(axis=1, keepdims=True)
    found = perplexity(corpus.second_half, theta, lambda shares: np.log(shares @ beta))
    return TopicRun(
        name=peer.name,
        ours=False,
        scores=scored(beta, corpus.train, corpus.words, found),
        seconds=seconds,
        completing=completing,
        settings=peer.words,
        status="all passes made",
    )


def _matrix(counts: amortis.SparseCounts) -> Any:
    shape = (len(counts), counts.columns)
    return csr_matrix((counts.counts.astype(np.float64), counts.indices, counts.indptr), shape)
