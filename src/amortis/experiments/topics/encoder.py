"""The inference function: a document's counts in, a normal factor of z out."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import amortis

_LEAST_VARIANCE = 1e-3


class _Still:
    """Numbers that are not trained: modules are taken apart into their arrays, and it is none."""

    def __init__(self, values: Float[np.ndarray, "..."]) -> None:
        self.values = values


class Encoder(eqx.Module):
    r"""Of counts n, $W_3(h, g) + b_3$ with $h = N(W_1^\top\log(1 + n))$ and g of h.

    $g = N(\mathrm{softplus}(W_2 h + b_2))$. N subtracts a row's mean and divides by its standard
    deviation, which keeps outputs at the scale of one whatever the document's length, and ties no
    rows (batch normalisation would). $W_1$ starts at what each topic starts with beyond the
    corpus's frequencies, so that h says at once which topics a document resembles.

    Attributes:
        first: $W_1$, shape (V, K).
        hidden: $W_2, b_2$.
        last: $W_3, b_3$.
        center: means of the columns of counts, which the library subtracts before.
        scale: their standard deviations, by which it divides.
    """

    first: Float[Array, "words topics"]
    hidden: eqx.nn.Linear
    last: eqx.nn.Linear
    center: _Still
    scale: _Still

    def __call__(self, row: Float[Array, " words"]) -> Float[Array, " outputs"]:
        # Rare words in units of their own sds would drown all others: back to counts.
        counts = jnp.maximum(row * self.scale.values + self.center.values, 0.0)
        near = _normalized(jnp.log1p(counts) @ self.first)
        mixed = _normalized(jax.nn.softplus(self.hidden(near)))
        return self.last(jnp.concatenate([near, mixed]))


def encoder(
    counts: Float[np.ndarray, "documents words"],
    start: Float[np.ndarray, "topics words"],
    corpus: Float[np.ndarray, " words"],
    width: int,
) -> amortis.Network:
    """The encoder for documents like those given.

    Args:
        counts: the documents that are fitted, dense.
        start: log frequencies of words where topics start.
        corpus: frequencies of words in all documents.
        width: units of the hidden layer.
    """
    ratios = start - np.log(corpus)
    first = (0.1 * (ratios - ratios.mean(axis=0)).T).astype(np.float32)
    center, scale = _Still(counts.mean(axis=0)), _Still(_spread(counts))
    build: Callable[..., Any] = lambda key, columns, outputs: _built(  # noqa: E731
        key, outputs, first, width, center, scale
    )
    return amortis.Network(build)


def _built(
    key: Array, outputs: int, first: np.ndarray, width: int, center: _Still, scale: _Still
) -> Encoder:
    hidden_key, last_key = jax.random.split(key)
    topics = first.shape[1]
    hidden = eqx.nn.Linear(topics, width, key=hidden_key)
    last = eqx.nn.Linear(topics + width, outputs, key=last_key)
    return Encoder(jnp.asarray(first), hidden, last, center, scale)


def _spread(counts: Float[np.ndarray, "documents words"]) -> Float[np.ndarray, " words"]:
    """Standard deviations, and one for words that are as frequent in every document."""
    spread = counts.std(axis=0)
    return np.where(spread > 0.0, spread, np.float32(1.0))


def _normalized(row: Float[Array, " units"]) -> Float[Array, " units"]:
    return (row - jnp.mean(row)) / jnp.sqrt(jnp.var(row) + _LEAST_VARIANCE)
