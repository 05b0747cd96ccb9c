"""Topic models of documents: amortized LDA and ProdLDA, beside scikit-learn and factorized VI.

May enter: documents as counts of words, fits of the two models, peers, and scores that see topics
and proportions only.
"""

from amortis.experiments.topics.corpus import Corpus, load_corpus
from amortis.experiments.topics.page import topics_sheet
from amortis.experiments.topics.run import SHORT, TopicSize, run_topics

__all__ = [
    "SHORT",
    "Corpus",
    "TopicSize",
    "load_corpus",
    "run_topics",
    "topics_sheet",
]
