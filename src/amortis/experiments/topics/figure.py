"""The pictures: scores against seconds, and the words of topics."""

from typing import Any

from amortis.experiments.topics.results import TopicsResult
from amortis.report.matplotlib_import import new_figure

_TOPICS, _WORDS = 12, 8
_OURS, _PEERS = "#0072B2", "#7F7F7F"


def scores_figure(result: TopicsResult) -> Any:
    """Two panels that share their seconds.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(9.5, 4.2)
    panels = figure.subplots(1, 2)
    markers = "osD^vP*Xh<>p"
    labels = {"perplexity": "perplexity of second halves", "coherence": "coherence"}
    for axes, (score, label) in zip(panels, labels.items(), strict=True):
        for marker, run in zip(markers, result.runs, strict=False):
            color = _OURS if run.ours else _PEERS
            axes.scatter(
                [run.seconds],
                [getattr(run.scores, score)],
                s=60,
                marker=marker,
                color=color,
                label=run.name,
            )
        axes.set_xlabel("seconds to the topics, compilation included", fontsize=9)
        axes.set_ylabel(label, fontsize=9)
        axes.set_xlim(left=0.0)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def words_figure(result: TopicsResult) -> Any:
    """A panel for each of our amortized models, a line for each topic.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    shown = [run for run in result.runs if run.verdict] or list(result.runs)
    figure = new_figure(6.4 * len(shown), 0.32 * _TOPICS + 0.8)
    for axes, run in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        scores = run.scores
        order = sorted(range(len(scores.by_topic)), key=lambda k: -scores.by_topic[k])[:_TOPICS]
        axes.barh(range(len(order)), [scores.by_topic[k] for k in order], color="#CFE3F1")
        for line, k in enumerate(order):
            words = " ".join(scores.top_words[k][:_WORDS])
            axes.text(0.005, line, words, va="center", fontsize=8)
        axes.set_title(run.name, fontsize=9)
        axes.set_xlabel("coherence", fontsize=9)
        axes.set_yticks([])
        axes.invert_yaxis()
        axes.tick_params(labelsize=8)
    return figure
