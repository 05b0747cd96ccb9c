"""ProdLDA (Srivastava & Sutton 2017) of documents, as counts of words in compressed rows.

    amortis fit examples/topics.py:model --data documents.npz --inference mlp:100x2 \\
        --set scale=3.0 --optimiser adam:3000x200 --out fitted

The file has `indptr`, `indices` and `counts` of a CSR matrix, and better also its `shape`: else
there are as many words as the largest index says. `check` says POINTWISE: a document's
proportions read its own words.

A product of experts: the log probability of a word is a background plus a sum over topics,
weighted by the document's proportions. Without the paper's batch normalisation, which ties the
documents of a batch to each other; docs/topics.md has a normalisation that does not. The background
starts at the words' frequencies in the data.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array


def model(counts: Array, topics: int = 50, scale: float = 1.0) -> None:
    r"""$\theta_d = \mathrm{softmax}(z_d)$, words $\sim \mathrm{softmax}(b + W^\top\theta_d)$."""
    words = counts.shape[1]
    start = 0.1 * jax.random.normal(jax.random.key(0), (topics, words))
    weights: Any = numpyro.param("weights", start)
    frequencies = (counts.sum(axis=0) + 1.0) / (counts.sum() + words)
    background: Any = numpyro.param("background", jnp.log(frequencies))
    with numpyro.plate("documents", counts.shape[0]):
        z = numpyro.sample("z", dist.Normal(0.0, scale).expand([topics]).to_event(1))
        logits = background + jax.nn.softmax(z, axis=-1) @ weights
        total = counts.sum(axis=-1).astype(int)
        numpyro.sample("words", dist.Multinomial(total, logits=logits), obs=counts)
