import dataclasses
import json

import jax
import numpy as np
import pytest
from scipy import sparse
from scipy.special import logsumexp

from amortis import DataError, SparseCounts
from amortis._errors import MissingDependencyError, MissingFileError
from amortis.cli import main
from amortis.experiments.topics import (
    Corpus,
    TopicSize,
    load_corpus,
    models,
    peers,
    run_topics,
    scores,
    topics_sheet,
)
from amortis.experiments.topics.fits import TopicFit, verdict_of
from amortis.experiments.topics.results import LDA_NAME, PRODLDA_NAME, TABLE_NAME, TopicRun

pytestmark = pytest.mark.usefixtures("standard_promotion")

TOPICS, WORDS, PER_TOPIC = 4, 40, 10


def counts_of(dense: np.ndarray) -> SparseCounts:
    matrix = sparse.csr_matrix(dense)
    return SparseCounts(matrix.indptr, matrix.indices, matrix.data, dense.shape[1])


def planted() -> tuple[Corpus, float]:
    """Documents of one or two of four topics, each of ten words of its own.

    And the perplexity of second halves for who knows the topics and every document's proportions.
    """
    generator = np.random.default_rng(0)
    beta = np.full((TOPICS, WORDS), 0.05 / (WORDS - PER_TOPIC))
    for k in range(TOPICS):
        beta[k, k * PER_TOPIC : (k + 1) * PER_TOPIC] = 0.95 / PER_TOPIC
    theta = generator.dirichlet(np.full(TOPICS, 0.2), 400)

    def draw(rows: np.ndarray, words: int) -> np.ndarray:
        return np.stack([generator.multinomial(words, row @ beta) for row in rows])

    first, second = draw(theta[300:], 20), draw(theta[300:], 20)
    known = np.exp(-np.sum(second * np.log(theta[300:] @ beta)) / second.sum())
    corpus = Corpus(
        counts_of(draw(theta[:300], 40)),
        counts_of(first + second),
        counts_of(first),
        counts_of(second),
        tuple(f"w{i}" for i in range(WORDS)),
    )
    return corpus, float(known)


SMALL = TopicSize(
    topics=TOPICS,
    lda=TopicFit(0.3, 300, batch=100, width=16),
    prodlda=TopicFit(1.0, 300, momentum=0.99, batch=100, width=16),
    table=TopicFit(0.3, 300, rate=0.1, batch=100),
    peers=(peers.Peer("scikit-learn, batch", "batch", 10),),
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return planted()[0]


@pytest.fixture(scope="module")
def outcome(corpus, tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("topics") / "runs", []
    with jax.numpy_dtype_promotion("standard"), pytest.MonkeyPatch.context() as patch:
        # What `check` says of each model has a test of its own.
        patch.setattr("amortis.experiments.topics.fits.verdict_of", lambda *_: "POINTWISE")
        result = run_topics(corpus, SMALL, key=jax.random.key(0), tell=told.append, folder=folder)
    return result, folder, told


def planted_of(words) -> list[int]:
    return [int(word[1:]) // PER_TOPIC for word in words]


@pytest.mark.parametrize("name", [LDA_NAME, PRODLDA_NAME, TABLE_NAME])
def test_planted_topics_are_found(outcome, name) -> None:
    run = outcome[0].named(name)
    found = [planted_of(words) for words in run.scores.top_words]
    # Every topic's ten words are one planted topic's, and no planted topic is missing.
    assert all(len(set(each)) == 1 for each in found)
    assert {each[0] for each in found} == set(range(TOPICS))
    # Between the frequencies of the corpus (40 words, all alike) and the truth.
    known, unigram = planted()[1], outcome[0].unigram
    share = np.log(unigram / run.scores.perplexity) / np.log(unigram / known)
    assert share > 0.7, share


def test_finished_runs_are_kept_and_damaged_ones_made_again(outcome, corpus, monkeypatch) -> None:
    result, folder, _ = outcome
    told: list[str] = []

    def again() -> object:
        return run_topics(corpus, SMALL, key=jax.random.key(0), tell=told.append, folder=folder)

    assert again() == result
    assert sum("kept from an earlier run" in line for line in told) == len(result.runs)
    # One file is damaged, and what would make its run is not the same any more.
    path = next(folder.glob("scikit*"))
    path.write_text('{"decides": 1')
    made: list[str] = []
    monkeypatch.setattr(
        "amortis.experiments.topics.run.peer_run",
        lambda peer, *_: (
            made.append(peer.name),
            dataclasses.replace(result.named(peer.name), status="made again"),
        )[1],
    )
    assert again().named("scikit-learn, batch").status == "made again"
    assert made == ["scikit-learn, batch"]
    assert any("is damaged" in line for line in told)


def test_the_page_says_what_was_measured(outcome) -> None:
    sheet = topics_sheet(outcome[0])
    measured = {row[0]: row for row in sheet.tables[0].rows}
    assert measured["unigram perplexity of the test documents"][3] == "no"  # other documents
    assert measured[f"{LDA_NAME}: `check`"][2:] == ["POINTWISE", "yes"]
    assert len(sheet.tables[1].rows) == len(outcome[0].runs)
    assert "Missed: unigram perplexity" in sheet.learned[-1]


def test_perplexity_is_that_of_the_words_one_by_one() -> None:
    dense = np.array([[2, 0, 1], [0, 3, 0]])
    theta, beta = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    tokens = [(d, w) for d in range(2) for w in range(3) for _ in range(dense[d, w])]
    expected = np.exp(-np.mean([np.log(theta[d] @ beta[:, w]) for d, w in tokens]))
    found = scores.perplexity(counts_of(dense), theta, lambda shares: np.log(shares @ beta))
    assert found == pytest.approx(expected, rel=1e-12)


def test_coherence_and_diversity_are_those_of_their_definitions() -> None:
    dense = np.random.default_rng(1).poisson(0.7, (30, 6))
    dense[:, 0] = 0
    dense[0, 0] = 1  # with word 5 it never occurs
    dense[0, 1:] = [1, 1, 1, 1, 0]
    dense[dense.sum(axis=1) == 0, 1] = 1
    top = np.array([[0, 5, 2], [1, 2, 3]])
    held = dense > 0

    def pair(i: int, j: int) -> float:
        both = np.mean(held[:, i] & held[:, j])
        if both == 0:
            return -1.0
        return float(np.log(both / (held[:, i].mean() * held[:, j].mean())) / -np.log(both))

    expected = [np.mean([pair(a, b) for a, b in ((x, y), (x, z), (y, z))]) for x, y, z in top]
    np.testing.assert_allclose(scores.coherence(counts_of(dense), top), expected, rtol=1e-5)
    topics = np.eye(3, 60)[:, ::-1] + np.linspace(1.0, 0.0, 60) * 1e-3
    # The first 25 of 60 words: one of its own, and 24 that all three share.
    assert scores.diversity(topics) == pytest.approx(27 / 75)


def test_the_prior_is_the_laplace_approximation_of_the_dirichlet() -> None:
    a = 0.7
    # In the softmax basis minus the Hessian at the mode is a K (I/K - 11'/K²) + what ties the
    # shift; the diagonal of its inverse, with the general formula of three unequal entries.
    alpha = np.full(5, a)
    expected = (1 - 2 / 5) / alpha + np.sum(1 / alpha) / 25
    np.testing.assert_allclose(models.prior_sd(a, 5) ** 2, expected[0], rtol=1e-12)


def test_words_of_prodlda_have_mean_zero_and_variance_one_under_the_prior() -> None:
    generator = np.random.default_rng(3)
    sd, weights = 0.8, generator.normal(size=(6, 9)).astype(np.float32)
    topics = np.asarray(models.PRODLDA.topics({"weights": weights}, np.zeros((6, 9)), sd))
    z = sd * generator.normal(size=(200_000, 6))
    theta = np.exp(z - logsumexp(z, axis=1, keepdims=True))
    logits = theta @ topics
    # Standard errors of 200 000 draws: 0.0022 and 0.4 %.
    np.testing.assert_allclose(logits.mean(axis=0), 0.0, atol=0.012)
    np.testing.assert_allclose(logits.var(axis=0), 1.0, rtol=0.03)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(models.LDA, id="LDA", marks=pytest.mark.slow),
        pytest.param(models.PRODLDA, id="ProdLDA"),
    ],
)
def test_documents_stand_alone(corpus, model) -> None:
    start = np.zeros((TOPICS, WORDS), np.float32)
    assert verdict_of(model, corpus, start, 1.0) == "POINTWISE"


def test_parts_of_a_corpus_fit_each_other(corpus) -> None:
    with pytest.raises(DataError, match="40 columns and the vocabulary has 39 words"):
        dataclasses.replace(corpus, words=corpus.words[:-1])
    with pytest.raises(DataError, match="100 first halves of documents and 300 second ones"):
        dataclasses.replace(corpus, second_half=corpus.train)


def written(folder, corpus: Corpus) -> None:
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(corpus.words) + "\n")
    parts = {
        "train": corpus.train,
        "test": corpus.test,
        "test_first_half": corpus.first_half,
        "test_second_half": corpus.second_half,
    }
    for name, part in parts.items():
        arrays = {"indptr": part.indptr, "indices": part.indices, "counts": part.counts}
        np.savez(folder / f"{name}.npz", **arrays)


def test_the_corpus_is_found_by_its_variable(corpus, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AMORTIS_DATA", str(tmp_path))
    with pytest.raises(MissingFileError, match="no folder 20newsgroups below AMORTIS_DATA"):
        load_corpus()
    written(tmp_path / "20newsgroups", corpus)
    assert load_corpus().digest == corpus.digest
    (tmp_path / "20newsgroups" / "test.npz").unlink()
    with pytest.raises(MissingFileError, match=r"test\.npz"):
        load_corpus()


def test_the_command_writes_its_page(corpus, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("AMORTIS_DATA", str(tmp_path))
    written(tmp_path / "20newsgroups", corpus)
    monkeypatch.setattr(
        "amortis.experiments.topics.SHORT",
        dataclasses.replace(SMALL, lda=dataclasses.replace(SMALL.lda, steps=50)),
    )
    monkeypatch.setattr(
        "amortis.experiments.topics.run.table_run", lambda *given: fake(given[0], corpus)
    )
    monkeypatch.setattr(
        "amortis.experiments.topics.run.amortized_run", lambda *given: fake(given[0], corpus)
    )
    out = tmp_path / "out"
    copy = tmp_path / "docs" / "topics.md"
    copy.parent.mkdir()
    assert main(["reproduce", "topics", "--out", str(out), "--page", str(copy)]) == 0
    assert "](images/topics-1.png)" in copy.read_text()
    assert (copy.parent / "images" / "topics-1.png").is_file()
    page = (out / "topics" / "topics.md").read_text()
    assert "What has to hold." in page and "| ProdLDA, amortized |" in page
    assert (out / "topics" / "topics-2.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((out / "topics" / "topics.json").read_text())["topics"] == TOPICS
    assert "written to" in capsys.readouterr().out
    assert main(["reproduce", "topics", "--seeds", "3", "--out", str(out)]) == 2
    assert "--seeds is given beside the experiment 'topics'" in capsys.readouterr().err
    assert main(["reproduce", "topics", "--schedule", "published", "--out", str(out)]) == 2
    assert "--schedule is 'published' for topics; expected short" in capsys.readouterr().err


def fake(name: str, corpus: Corpus):
    """A run of topics that are the words in order, in place of a fit."""
    topics = np.linspace(1.0, 0.0, WORDS)[None].repeat(TOPICS, axis=0)
    found = scores.scored(topics, corpus.train, corpus.words, 30.0)
    return TopicRun(name, True, found, 1.0, 0.1, "none", "DONE", "POINTWISE", (0.1, 0.1))


def test_a_missing_scikit_learn_says_what_to_install(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.decomposition", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "amortis\[examples\]"'):
        peers.latent_dirichlet_allocation()
    assert main(["reproduce", "topics", "--out", str(tmp_path)]) == 2
    assert "scikit-learn, which is not installed" in capsys.readouterr().err
