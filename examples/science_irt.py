"""Attitudes to science: 392 people, 7 items on a scale from 0 to 3, graded response model.

    amortis check examples/science_irt.py:model --data answers.npz     # y: (people, items)

`check` finds that a person's trait reads that person's row of answers: POINTWISE. The answers are
categories, so the inference function sees one indicator for each item and answer.
"""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array

ANSWERS = 4


def model(y: Array, answers: int = ANSWERS) -> None:
    r"""$y_{ni} \sim \mathrm{OrderedLogistic}(a_i z_n, c_i)$, $z_n \sim N(0, 1)$, y from 0."""
    people, items = y.shape
    with numpyro.plate("items", items):
        slope = numpyro.sample("slope", dist.LogNormal(0.0, 1.0))
        first = numpyro.sample("first", dist.Normal(-2.0, 2.0))
        with numpyro.plate("steps", answers - 2):
            step = numpyro.sample("step", dist.LogNormal(0.0, 1.0))
    cutpoints = first + jnp.concatenate([jnp.zeros((1, items)), jnp.cumsum(step, axis=0)])
    with numpyro.plate("people", people):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        graded = dist.OrderedLogistic(z[:, None] * slope, cutpoints.T)
        numpyro.sample("y", graded.to_event(1), obs=y)
