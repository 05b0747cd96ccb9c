"""Where topics start: clusters of documents.

From a start at which topics are alike a fit stays where all topics are the corpus (component
collapse): nothing tells it which topic a document should move. K-means of the documents takes half
a second, and every topic begins as one cluster.
"""

import numpy as np
from jaxtyping import Float

import amortis

_ROUNDS, _ROWS = 10, 1000
SHARE = 0.1
"""Of the corpus's own frequencies in a topic's start, so that no word is impossible in it."""


def clusters(
    train: amortis.SparseCounts, topics: int, seed: int
) -> Float[np.ndarray, "topics words"]:
    r"""Log frequencies of words in the clusters of spherical k-means.

    Documents are $\log(1 + n_{dw})\log(D/D_w)$ of unit length, the first centers are documents.

    Args:
        train: the documents.
        topics: number of clusters, at most that of the documents.
        seed: of the choice of first centers.

    Returns:
        Log of nine tenths of each cluster's frequencies and a tenth of the corpus's.
    """
    held = np.bincount(train.indices[train.counts > 0], minlength=train.columns)
    rarity = np.log(len(train) / np.maximum(held, 1.0)).astype(np.float32)
    chosen = np.random.default_rng(seed).choice(len(train), topics, replace=False)
    centers = np.concatenate([_directions(train.rows(i, i + 1), rarity) for i in chosen.tolist()])
    sums = np.zeros((topics, train.columns))
    for _ in range(_ROUNDS):
        moved = np.zeros_like(centers)
        sums = np.zeros((topics, train.columns))
        for block in train.blocks(_ROWS):
            directions = _directions(block, rarity)
            nearest = (directions @ centers.T).argmax(axis=1)
            belongs = (nearest == np.arange(topics)[:, None]).astype(np.float32)
            moved += belongs @ directions
            sums += belongs @ block
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        centers = np.where(lengths > 0, moved / np.maximum(lengths, 1e-12), centers)
    corpus = frequencies(train)
    own = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1.0)
    return np.log((1.0 - SHARE) * own + SHARE * corpus).astype(np.float32)


def frequencies(train: amortis.SparseCounts) -> Float[np.ndarray, " words"]:
    """Of words in the corpus, with one added to every count."""
    raised = train.column_totals + 1.0
    return raised / raised.sum()


def _directions(
    block: Float[np.ndarray, "rows words"], rarity: Float[np.ndarray, " words"]
) -> Float[np.ndarray, "rows words"]:
    weighted = np.log1p(block) * rarity
    lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
    return weighted / np.maximum(lengths, 1e-12)
