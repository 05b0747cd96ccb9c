"""The whole experiment, model by model; what is finished is kept."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
from jaxtyping import Array, Key

from amortis.experiments.kept import Kept, deciding
from amortis.experiments.topics.corpus import Corpus
from amortis.experiments.topics.fits import TopicFit, amortized_run, table_run
from amortis.experiments.topics.models import LDA, PRODLDA
from amortis.experiments.topics.peers import Peer, peer_run
from amortis.experiments.topics.results import (
    LDA_NAME,
    PRODLDA_NAME,
    TABLE_NAME,
    TopicRun,
    TopicsResult,
)
from amortis.experiments.topics.scores import unigram_perplexity

_PEERS = (
    Peer("scikit-learn, batch", "batch", 10),
    Peer("scikit-learn, online", "online", 10),
    Peer("scikit-learn, batch, tuned", "batch", 20, 256, 0.1, 1.0),
    Peer("scikit-learn, online, tuned", "online", 10, 256, 0.1, 1.0),
)
"""Its defaults, and the best of the settings of both priors that were tried by hand."""


@dataclasses.dataclass(frozen=True)
class TopicSize:
    """How much is run.

    Attributes:
        topics: K.
        lda: how LDA is fitted.
        prodlda: how ProdLDA is.
        table: how LDA is fitted with a factor for each document.
        peers: settings of scikit-learn.
    """

    topics: int
    lda: TopicFit
    prodlda: TopicFit
    table: TopicFit
    peers: tuple[Peer, ...]


SHORT = TopicSize(
    topics=50,
    lda=TopicFit(0.3, 1100),
    prodlda=TopicFit(10.0, 1100, momentum=0.99),
    table=TopicFit(0.3, 1100, rate=0.1),
    peers=_PEERS,
)
"""Some ten minutes on two cores."""


def run_topics(
    corpus: Corpus,
    size: TopicSize,
    *,
    key: Key[Array, ""],
    tell: Callable[[str], None],
    folder: Path | None = None,
) -> TopicsResult:
    """Fit every model in every way, and score all of them alike.

    Args:
        corpus: the documents.
        size: how much is run.
        key: random key.
        tell: is given a line on every model that is done.
        folder: where finished runs are kept, and found again.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    seed = int(jax.random.bits(key, (), "uint32"))
    kept = Kept(folder, deciding(key, corpus=corpus.digest, topics=size.topics), tell)
    makers: dict[str, tuple[object, Callable[[], TopicRun]]] = {
        LDA_NAME: (
            size.lda,
            lambda: amortized_run(LDA_NAME, LDA, size.lda, corpus, size.topics, key),
        ),
        PRODLDA_NAME: (
            size.prodlda,
            lambda: amortized_run(PRODLDA_NAME, PRODLDA, size.prodlda, corpus, size.topics, key),
        ),
        TABLE_NAME: (
            size.table,
            lambda: table_run(TABLE_NAME, LDA, size.table, corpus, size.topics, key),
        ),
    }
    for peer in size.peers:
        make = _peer_maker(peer, corpus, size.topics, seed)
        makers[peer.name] = (peer, make)
    runs: list[TopicRun] = []
    for name, (settings, make) in makers.items():
        mine = kept.beside(settings=repr(settings))
        found = mine.record(name)
        if found is None:
            run = make()
            mine.keep_record(name, run)
        else:
            run = TopicRun.of(found)
            tell(f"{name}: kept from an earlier run")
        tell(
            f"{name}: perplexity {run.scores.perplexity:.1f}, coherence "
            f"{run.scores.coherence:.3f}, {run.seconds:.0f} s"
        )
        runs.append(run)
    return TopicsResult(
        documents=len(corpus.train),
        held_out=len(corpus.test),
        words=len(corpus.words),
        topics=size.topics,
        unigram=unigram_perplexity(corpus.train, corpus.test),
        runs=tuple(runs),
    )


def _peer_maker(peer: Peer, corpus: Corpus, topics: int, seed: int) -> Callable[[], TopicRun]:
    return lambda: peer_run(peer, corpus, topics, seed)
