r"""The two models as NumPyro functions of documents, $n_{dw}$ counts of word w in document d.

Both have proportions $\theta_d = \mathrm{softmax}(z_d)$ with $z_d$ normal, which is the Laplace
approximation of a symmetric Dirichlet prior with concentration a in the softmax basis:
$E z_k = \log a_k - \frac1K\sum_j\log a_j = 0$ and
$\mathrm{var}\,z_k = \frac{1}{a_k}(1 - \frac2K) + \frac{1}{K^2}\sum_j\frac{1}{a_j}$.

* LDA mixes topics: $p(w\mid\theta) = \sum_k\theta_k\beta_{kw}$.
* ProdLDA multiplies them: $p(w\mid\theta) = \mathrm{softmax}_w(b_w + h_w(\theta))$, where $h_w$ is
  $\sum_k\theta_k W_{kw}$ normalized, word by word, to mean zero and variance one.

The paper takes that mean and variance over a batch of documents, which ties the rows of a batch to
each other: no factor of a document is then a function of it alone. Here they are those under the
*prior* of θ, in closed form up to one number. The prior is the same for all topics, so that
$E\theta_k = 1/K$ and $\mathrm{Cov}\,\theta = c\,(I - \frac1K 11^\top)$, and
$\mathrm{var}_\theta\sum_k\theta_k W_{kw} = c\sum_k(W_{kw} - \bar W_w)^2$. So $h_w$ depends on the
globals and the document's own θ: rows stand apart, training and test see the same function, and
there are no running averages. The number c is found once, by a fixed rule of points.

References:
    Blei, Ng & Jordan, *Latent Dirichlet allocation* (2003); MacKay, *Choice of basis for Laplace
    approximation* (1998); Srivastava & Sutton, *Autoencoding variational inference for topic
    models* (2017).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

Values = Array | np.ndarray
"""Arrays, of which functions make JAX's own."""

_LEAST_VARIANCE = 1e-3
"""Of a word that all topics weigh alike; as the ε of batch normalisation."""

_POINTS = 2**13


def prior_sd(concentration: float, topics: int) -> float:
    """Standard deviation of z under the Laplace approximation of a symmetric Dirichlet.

    Args:
        concentration: a, of each topic.
        topics: K.
    """
    return math.sqrt((1.0 - 2.0 / topics) / concentration + 1.0 / (topics * concentration))


@functools.cache
def share_variance(sd: float, topics: int) -> float:
    r"""The number c of $\mathrm{Cov}\,\mathrm{softmax}(z) = c(I - \frac1K 11^\top)$, z ~ N(0, sd²).

    By 8192 fixed draws, each with its mirror image, averaged over topics.

    Args:
        sd: of each $z_k$.
        topics: K.
    """
    shares = softmax(sd * fixed_normals(_POINTS, topics))
    # The variance of one share is c(1 - 1/K).
    return float(np.square(shares - 1.0 / topics).mean() * topics / (topics - 1.0))


def fixed_normals(points: int, topics: int) -> Float[np.ndarray, "points topics"]:
    """The same standard normal numbers every time; the second half mirrors the first."""
    half = np.random.default_rng(0).standard_normal((points // 2, topics))
    return np.concatenate([half, -half])


def softmax(z: Float[np.ndarray, "rows topics"]) -> Float[np.ndarray, "rows topics"]:
    """Proportions, each row by itself, on the host."""
    raised = np.exp(z - z.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class TopicModel:
    """A model of documents, and how its words are read off a fit.

    Attributes:
        name: for people.
        function: the NumPyro model of (counts, start, sd).
        log_words: log probabilities of words, of (globals, start, sd, θ).
        topics: weights of words by topic, of (globals, start, sd), to order words by.
    """

    name: str
    function: Callable[..., None]
    log_words: Callable[..., Array]
    topics: Callable[..., Array]


def _lda_topics(globals_: Any, start: Values, sd: float) -> Array:
    del sd  # mixtures are not normalized
    return jax.nn.softmax(jnp.asarray(start) + globals_["weights"], axis=-1)


def _lda_log_words(globals_: Any, start: Values, sd: float, theta: Values) -> Array:
    return jnp.log(theta @ _lda_topics(globals_, start, sd) + 1e-20)


def _prodlda_topics(globals_: Any, start: Values, sd: float) -> Array:
    """W less its mean over topics, divided by the sd that θW has under the prior of θ."""
    # The start of W: how much more often a word occurs in a cluster than on average.
    weights = jnp.asarray(start) + globals_["weights"]
    centered = weights - jnp.mean(weights, axis=0)
    variance = share_variance(sd, start.shape[0]) * jnp.sum(jnp.square(centered), axis=0)
    return centered / jnp.sqrt(variance + _LEAST_VARIANCE)


def _prodlda_log_words(globals_: Any, start: Values, sd: float, theta: Values) -> Array:
    logits = theta @ _prodlda_topics(globals_, start, sd)
    # Where the background is zero, words are as frequent as in all topics' starts together.
    background = jax.nn.logsumexp(start, axis=0) + globals_["background"]
    return jax.nn.log_softmax(background + logits, axis=-1)


def _documents(
    counts: Float[Values, "documents words"],
    topics: int,
    sd: float,
    log_words: Callable[[Array], Array],
) -> None:
    with numpyro.plate("documents", counts.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, sd).expand([topics]).to_event(1))
        # The words in their order: the number of orders is a constant of the data.
        log_p = jnp.sum(counts * log_words(jax.nn.softmax(z, axis=-1)), axis=-1)
        numpyro.factor("words", log_p)


def lda(
    counts: Float[Values, "documents words"], start: Float[Values, "topics words"], sd: float
) -> None:
    """Latent Dirichlet allocation; topics are logistic-normal around their start.

    Args:
        counts: documents.
        start: logits of the topics where weights are zero.
        sd: of z; see `prior_sd`.
    """
    weights = numpyro.sample("weights", dist.Normal(0.0, 1.0).expand(start.shape).to_event(2))
    log_words = functools.partial(_lda_log_words, {"weights": weights}, start, sd)
    _documents(counts, start.shape[0], sd, log_words)


def prodlda(
    counts: Float[Values, "documents words"], start: Float[Values, "topics words"], sd: float
) -> None:
    """ProdLDA with its normalisation under the prior; see this file's docstring.

    Args:
        counts: documents.
        start: W where weights are zero; only what differs between topics matters.
        sd: of z; see `prior_sd`.
    """
    weights = numpyro.sample("weights", dist.Normal(0.0, 1.0).expand(start.shape).to_event(2))
    words = start.shape[1]
    background = numpyro.sample("background", dist.Normal(0.0, 1.0).expand([words]).to_event(1))
    globals_ = {"weights": weights, "background": background}
    log_words = functools.partial(_prodlda_log_words, globals_, start, sd)
    _documents(counts, start.shape[0], sd, log_words)


LDA = TopicModel("LDA", lda, _lda_log_words, _lda_topics)
PRODLDA = TopicModel("ProdLDA", prodlda, _prodlda_log_words, _prodlda_topics)
