"""The page: what has to hold, scores against seconds, and topics to read."""

import math

from amortis.experiments.sheet import Sheet, Table
from amortis.experiments.topics.figure import scores_figure, words_figure
from amortis.experiments.topics.results import PRODLDA_NAME, TopicRun, TopicsResult
from amortis.report import Cell, Column

UNIGRAM, COHERENT, SERVED = 1980.6, 0.20, 2.0
"""Perplexity to reproduce, coherence and seconds to reach."""

_TOPICS_SHOWN = 15

_WHAT = r"""Latent Dirichlet allocation and ProdLDA (Srivastava & Sutton, 2017) of 20 Newsgroups,
by `amortis.fit` with `globals_=amortis.Point()`, a small network for the documents'
logistic-normal factors and Adam in batches of 200 documents. Proportions are
$\theta_d = \mathrm{softmax}(z_d)$ with the Laplace approximation of a symmetric Dirichlet prior.

ProdLDA's batch normalisation of the decoder ties the documents of a batch to each other, so that no
function of a document is its ideal factor. Here a word's logits $\theta W$ are normalized by their
mean and sd under the *prior* of θ, which are functions of the globals: documents stand apart,
`check` says POINTWISE, training and test agree, and nothing is averaged while training. The
encoder normalizes over its units and not over documents, for the same reason. What is left of the
paper's remedies against component collapse is the high momentum (Adam with $\beta_1 = 0.99$);
besides, topics start at clusters of documents, since from a start at which all topics are alike the
fits stayed there.

Documents are completed: proportions come from the first half of a test document's words, as
$E_q\,\theta$, and the perplexity is that of the second half. Coherence is the normalized pointwise
mutual information of the ten most probable words on the training documents, diversity the share of
different words among the first 25 of all topics. F-VI has a factor of its own for every document
and no function for new ones: the first halves are fitted too, with topics held.

Priors and numbers of steps, ours and scikit-learn's, were chosen by hand on these same scores. A
larger concentration a serves ProdLDA, whose topics are multiplied: its θ is a coordinate of the
words' log probabilities, not a share of them, and stays far from the corners."""


def topics_sheet(result: TopicsResult) -> Sheet:
    """The page of the experiment.

    Args:
        result: what was measured.
    """
    return Sheet(
        "topics",
        "Topic models, amortized",
        _WHAT,
        _learned(result),
        [
            _bars_table(result),
            _runs_table(result),
            *[_words_table(run) for run in result.runs if run.ours],
            *[_guesses_table(run) for run in result.runs if run.guesses],
        ],
        {
            "Perplexity of second halves, and coherence, against seconds to the topics": (
                scores_figure(result)
            ),
            "Top words of the most coherent topics": words_figure(result),
        },
        result,
    )


def bars(result: TopicsResult) -> list[tuple[str, str, str, bool]]:
    """What has to hold: in words, expected, measured, and whether it does."""
    found = [
        (
            "unigram perplexity of the test documents",
            f"{UNIGRAM}",
            f"{result.unigram:.1f}",
            round(result.unigram, 1) == UNIGRAM,
        )
    ]
    ours = [run for run in result.runs if run.verdict]
    peer = result.best_peer
    if peer is not None and ours:
        best = min(ours, key=lambda run: run.scores.perplexity)
        found += [
            (
                "perplexity of completed documents",
                f"< {peer.scores.perplexity:.1f} ({peer.name})",
                f"{best.scores.perplexity:.1f} ({best.name})",
                best.scores.perplexity < peer.scores.perplexity,
            ),
            (
                "seconds to that, cold",
                f"< {peer.seconds:.0f}",
                f"{best.seconds:.0f}",
                best.seconds < peer.seconds,
            ),
        ]
    prodlda = result.named(PRODLDA_NAME)
    if prodlda is not None:
        value = prodlda.scores.coherence
        found.append(
            ("coherence of ProdLDA", f"≥ {COHERENT:.2f}", f"{value:.3f}", value >= COHERENT)
        )
    for run in ours:
        first, again = run.served
        found += [
            (
                f"{run.name}: `infer` of {result.held_out} documents",
                f"≤ {SERVED:g} s",
                f"{first:.2f} s first, {again:.2f} s again",
                again <= SERVED,
            ),
            (f"{run.name}: `check`", "POINTWISE", run.verdict, run.verdict == "POINTWISE"),
        ]
    return found


def _bars_table(result: TopicsResult) -> Table:
    columns = (Column("what"), Column("expected"), Column("measured"), Column("holds"))
    rows: list[list[Cell]] = [
        [what, expected, measured, "yes" if holds else "no"]
        for what, expected, measured, holds in bars(result)
    ]
    return Table("What has to hold.", columns, rows)


def _runs_table(result: TopicsResult) -> Table:
    columns = (
        Column("model"),
        Column("settings"),
        Column("perplexity", form=".1f"),
        Column("coherence", form=".3f"),
        Column("diversity", form=".2f"),
        Column("time", "s", ".1f"),
        Column("halves", "s", ".1f"),
        Column("status"),
    )
    rows: list[list[Cell]] = [
        [
            run.name,
            run.settings,
            run.scores.perplexity,
            run.scores.coherence,
            run.scores.diversity,
            run.seconds,
            run.completing,
            run.status.lower(),
        ]
        for run in result.runs
    ]
    caption = (
        f"{result.topics} topics of {result.documents} documents and {result.words} words. Seconds "
        f"of our runs are cold: they begin with the sparse documents and hold all compilation. "
        f'"halves": seconds for the proportions of the {result.held_out} first halves.'
    )
    return Table(caption, columns, rows)


def _words_table(run: TopicRun) -> Table:
    scores = run.scores
    order = sorted(range(len(scores.by_topic)), key=lambda k: -scores.by_topic[k])
    rows: list[list[Cell]] = [
        [scores.by_topic[k], " ".join(scores.top_words[k])] for k in order[:_TOPICS_SHOWN]
    ]
    worst = order[-1]
    rows.append([scores.by_topic[worst], " ".join(scores.top_words[worst])])
    columns = (Column("coherence", form=".2f"), Column("words"))
    shown = min(_TOPICS_SHOWN, len(order))
    return Table(f"{run.name}: the {shown} most coherent topics, and the least.", columns, rows)


def _guesses_table(run: TopicRun) -> Table:
    columns = (Column("words of a test document"), Column("topics inferred from its first half"))
    return Table(f"{run.name}: new documents.", columns, [list(pair) for pair in run.guesses])


def _learned(result: TopicsResult) -> list[str]:
    words: list[str] = []
    peer = result.best_peer
    if peer is not None:
        words += [
            f"{run.name}: perplexity {run.scores.perplexity:.0f} after {run.seconds:.0f} s, where "
            f"the best of scikit-learn ({peer.name}, {peer.settings}) has "
            f"{peer.scores.perplexity:.0f} after {peer.seconds:.0f} s."
            for run in result.runs
            if run.ours and math.isfinite(run.scores.perplexity)
        ]
    missed = [what for what, _, _, holds in bars(result) if not holds]
    words.append(f"Missed: {'; '.join(missed)}." if missed else "Everything that has to hold does.")
    return words
