"""What the experiment measures, as frozen records that go to files and come back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from amortis.experiments.topics.scores import Scores

LDA_NAME, PRODLDA_NAME = "LDA, amortized", "ProdLDA, amortized"
TABLE_NAME = "LDA, F-VI"


@dataclasses.dataclass(frozen=True)
class TopicRun:
    """One model fitted in one way.

    Attributes:
        name: of model and method.
        ours: whether it is a fit of this library's inference functions.
        scores: of its topics, and of documents that it completes.
        seconds: from the documents to the topics, with all compilation.
        completing: seconds that the proportions of the first halves took.
        settings: what was chosen, in words.
        status: how it ended.
        verdict: of `check`; empty for peers.
        served: seconds that `infer` took for all test documents, the first time and the quickest
            of three more; none for peers.
        guesses: a test document's words beside its most probable topics, by its number.
    """

    name: str
    ours: bool
    scores: Scores
    seconds: float
    completing: float
    settings: str
    status: str
    verdict: str = ""
    served: tuple[float, ...] = ()
    guesses: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "TopicRun":
        """The record of what `dataclasses.asdict` made of one, and JSON of that.

        Raises:
            TypeError: other fields.
            KeyError: no scores.
        """
        values = {name: _tuples(value) for name, value in plain.items() if name != "scores"}
        scores = {name: _tuples(value) for name, value in plain["scores"].items()}
        return cls(scores=Scores(**scores), **values)


@dataclasses.dataclass(frozen=True)
class TopicsResult:
    """Everything that was measured.

    Attributes:
        documents: that were fitted.
        held_out: that were not.
        words: in the vocabulary.
        topics: of each model.
        unigram: perplexity of the test documents under training frequencies, one added.
        runs: one of each model and method.
    """

    documents: int
    held_out: int
    words: int
    topics: int
    unigram: float
    runs: tuple[TopicRun, ...]

    @property
    def best_peer(self) -> TopicRun | None:
        """The peer that completes documents best."""
        peers = [run for run in self.runs if not run.ours]
        return min(peers, key=lambda run: run.scores.perplexity, default=None)

    def named(self, name: str) -> TopicRun | None:
        """The run of that name, if there is one."""
        return next((run for run in self.runs if run.name == name), None)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
