"""Presidential vote of 11 566 people in 1988: a varying intercept per state, 51 ragged groups.

    amortis check examples/election88.py:model --data election88.json

`check` finds that a state's intercept reads the people of that state: GROUPED by `state`. Age and
education classes are categories of a person, with effects that all states share.
"""

import numpyro
import numpyro.distributions as dist
from jaxtyping import Array


def model(
    y: Array,
    state: Array,
    black: Array,
    female: Array,
    age: Array,
    edu: Array,
    v_prev_full: Array,
    n_state: int,
    n_age: int,
    n_edu: int,
) -> None:
    r"""$y_i \sim \mathrm{Bernoulli}(\mathrm{logit}^{-1}(x_i^\top\beta + z_{s(i)}))$."""
    beta = numpyro.sample("beta", dist.Normal(0.0, 5.0).expand([4]).to_event(1))
    tau = numpyro.sample("tau", dist.LogNormal(-1.0, 1.0))
    with numpyro.plate("ages", n_age):
        of_age = numpyro.sample("of_age", dist.Normal(0.0, 1.0))
    with numpyro.plate("educations", n_edu):
        of_edu = numpyro.sample("of_edu", dist.Normal(0.0, 1.0))
    with numpyro.plate("states", n_state):
        z = numpyro.sample("z", dist.Normal(0.0, tau))
    shared = beta[0] + beta[1] * black + beta[2] * female + beta[3] * v_prev_full
    logits = shared + of_age[age - 1] + of_edu[edu - 1] + z[state - 1]
    with numpyro.plate("people", y.shape[0]):
        numpyro.sample("y", dist.Bernoulli(logits=logits), obs=y)
