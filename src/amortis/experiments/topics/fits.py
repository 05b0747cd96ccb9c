"""One model fitted by the library: bound, checked, fitted, and asked for new documents."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import numpyro
import optax
from jaxtyping import Array, Float, Key

import amortis
from amortis.experiments.topics.clusters import clusters, frequencies
from amortis.experiments.topics.corpus import Corpus
from amortis.experiments.topics.encoder import encoder
from amortis.experiments.topics.models import TopicModel, fixed_normals, prior_sd, softmax
from amortis.experiments.topics.results import TopicRun
from amortis.experiments.topics.scores import perplexity, scored, top_words

_CHECKED = 64
"""Documents that `check` looks at: what couples documents is the same for all."""

_POINTS = 64
"""Of the rule for the mean of the softmax."""

_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class TopicFit:
    """How a model is fitted.

    Attributes:
        concentration: a of the Dirichlet prior.
        steps: gradient steps.
        rate: Adam's rate for the inference function, which falls to zero along half a cosine.
        topic_rate: the same for the globals.
        momentum: Adam's first decay.
        batch: documents per step.
        width: hidden units of the encoder.
    """

    concentration: float
    steps: int
    rate: float = 0.005
    topic_rate: float = 0.01
    momentum: float = 0.9
    batch: int = 200
    width: int = 100

    @property
    def words(self) -> str:
        """The choices in words."""
        return (
            f"a = {self.concentration:g}, {self.steps} steps of {self.batch} documents, momentum "
            f"{self.momentum:g}"
        )

    def optimiser(self) -> amortis.ConstantRate:
        """Adam with two rates, both falling along half a cosine."""
        share = self.topic_rate / self.rate

        def two_rates(updates: Any, params: Any) -> Any:
            del params  # they decide nothing
            globals_ = jax.tree.map(lambda u: share * u, updates["globals"])
            return {**updates, "globals": globals_}

        falling = optax.chain(
            optax.scale_by_adam(b1=self.momentum),
            optax.stateless(two_rates),
            optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, self.steps)),
        )
        return amortis.ConstantRate(
            self.rate, iterations=self.steps, batch=self.batch, optimizer=falling, block=50
        )


def amortized_run(
    name: str,
    topic_model: TopicModel,
    chosen: TopicFit,
    corpus: Corpus,
    topics: int,
    key: Key[Array, ""],
) -> TopicRun:
    """Fit a model by an inference function, cold, and complete the test documents by `infer`.

    Args:
        name: of the run.
        topic_model: the model.
        chosen: how.
        corpus: the documents.
        topics: K.
        key: random key.
    """
    jax.clear_caches()
    began = time.perf_counter()
    seed = int(jax.random.bits(key, (), "uint32"))
    start = clusters(corpus.train, topics, seed)
    sd = prior_sd(chosen.concentration, topics)
    counts = corpus.train.rows(0, len(corpus.train))
    model = amortis.from_numpyro(topic_model.function, counts, start, sd)
    fit = amortis.fit(
        model,
        key=key,
        inference=encoder(counts, start, frequencies(corpus.train), chosen.width),
        globals_=amortis.Point(),
        optimiser=chosen.optimiser(),
    )
    globals_ = point_of(fit)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    half = corpus.first_half.rows(0, len(corpus.first_half))
    theta = proportions(amortis.infer(fit, half, start, sd))
    completing = time.perf_counter() - began
    whole = corpus.test.rows(0, len(corpus.test))
    first, *others = (_served(fit, whole, start, sd) for _ in range(4))
    served = (first, min(others))
    topics_ = topic_model.topics(globals_, start, sd)
    shown = tuple(_guess(corpus, topics_, theta, i) for i in _docs(corpus))
    return TopicRun(
        name=name,
        ours=True,
        scores=completed(topic_model, globals_, start, sd, corpus, theta),
        seconds=seconds,
        completing=completing,
        settings=chosen.words,
        status=fit.status.name,
        verdict=verdict_of(topic_model, corpus, start, sd),
        served=served,
        guesses=shown,
    )


def table_run(
    name: str,
    topic_model: TopicModel,
    chosen: TopicFit,
    corpus: Corpus,
    topics: int,
    key: Key[Array, ""],
) -> TopicRun:
    """The same model with a factor of its own for every document.

    A table has no function for new documents, so that the first halves of the test documents are
    fitted too, with the topics held.
    """
    jax.clear_caches()
    began = time.perf_counter()
    seed = int(jax.random.bits(key, (), "uint32"))
    start = clusters(corpus.train, topics, seed)
    sd = prior_sd(chosen.concentration, topics)
    counts = corpus.train.rows(0, len(corpus.train))
    fit = _table(amortis.from_numpyro(topic_model.function, counts, start, sd), chosen, key)
    globals_ = point_of(fit)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    half = corpus.first_half.rows(0, len(corpus.first_half))
    known: dict[str, Any] = dict(globals_)
    held = numpyro.handlers.condition(topic_model.function, known)
    theta = proportions(_table(amortis.from_numpyro(held, half, start, sd), chosen, key))
    return TopicRun(
        name=name,
        ours=True,
        scores=completed(topic_model, globals_, start, sd, corpus, theta),
        seconds=seconds,
        completing=time.perf_counter() - began,
        settings=chosen.words,
        status=fit.status.name,
    )


def _table(model: amortis.LatentModel, chosen: TopicFit, key: Key[Array, ""]) -> amortis.Fit:
    """Adam moves a row's own factor only when its batch is drawn, hence the larger rate."""
    return amortis.fit(
        model,
        key=key,
        inference=amortis.Table(),
        globals_=amortis.Point(),
        optimiser=chosen.optimiser(),
    )


def point_of(fit: amortis.Fit) -> dict[str, Float[np.ndarray, "..."]]:
    """The globals by site, of a point estimate on the real line."""
    mean = np.asarray(fit.global_moments()[0])
    found: dict[str, np.ndarray] = {}
    for name, shape in fit.model.globals_.items():
        size = int(np.prod(shape))
        found[name], mean = mean[:size].reshape(shape), mean[size:]
    return found


def proportions(fit: amortis.Fit) -> Float[np.ndarray, "documents topics"]:
    r"""$E_q\,\mathrm{softmax}(z)$ by 64 points, the same for all documents."""
    mean, sd = (np.asarray(value) for value in fit.local_moments())
    total = np.zeros_like(mean)
    for node in fixed_normals(_POINTS, mean.shape[1]).astype(np.float32):
        total += softmax(mean + sd * node)
    return total / _POINTS


def completed(
    topic_model: TopicModel,
    globals_: Mapping[str, Float[np.ndarray, "..."]],
    start: Float[np.ndarray, "topics words"],
    sd: float,
    corpus: Corpus,
    theta: Float[np.ndarray, "documents topics"],
) -> Any:
    """Scores of topics, with the second halves completed from θ."""
    # As arguments, or the compiler works out what only depends on the topics, slowly.
    log_words = jax.jit(topic_model.log_words, static_argnums=2)
    found = perplexity(corpus.second_half, theta, lambda part: log_words(globals_, start, sd, part))
    weights = np.asarray(topic_model.topics(globals_, start, sd))
    return scored(weights, corpus.train, corpus.words, found)


def verdict_of(
    topic_model: TopicModel, corpus: Corpus, start: Float[np.ndarray, "topics words"], sd: float
) -> str:
    """What `check` says of the model on some documents."""
    some = corpus.train.rows(0, _CHECKED)
    return amortis.check(topic_model.function, some, start, sd).kind.name


def _served(fit: amortis.Fit, counts: Float[np.ndarray, "documents words"], *others: Any) -> float:
    began = time.perf_counter()
    jax.block_until_ready(amortis.infer(fit, counts, *others).local_moments())
    return time.perf_counter() - began


def _docs(corpus: Corpus) -> list[int]:
    return [int(i) for i in np.linspace(0, len(corpus.test) - 1, _SHOWN)]


def _guess(
    corpus: Corpus, topics: Any, theta: Float[np.ndarray, "documents topics"], i: int
) -> tuple[str, str]:
    """Words of a test document, and its most probable topics."""
    row = corpus.test.rows(i, i + 1)
    words = " ".join(corpus.words[j] for j in top_words(row, 8)[0])
    leading = np.argsort(-theta[i])[:2]
    named = top_words(np.asarray(topics)[leading], 5)
    told = [
        f"{' '.join(corpus.words[j] for j in line)} ({theta[i][k]:.2f})"
        for k, line in zip(leading, named, strict=True)
    ]
    return words, "; ".join(told)
