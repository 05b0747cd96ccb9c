"""`ImportanceSampling`: the evidence of each row from independent draws of its factor."""

import equinox as eqx

from amortis._errors import ArgumentError
from amortis._require import require_count
from amortis._types import RandomKey
from amortis.evidence.held import Held
from amortis.evidence.row_draws import log_weights
from amortis.evidence.weighed import AbstractEvidenceMethod, Weighed


class ImportanceSampling(AbstractEvidenceMethod):
    r"""$\hat p(x_n) = \frac1S\sum_s p(x_n, z_{ns}\mid\hat\theta)/q(z_{ns})$, $z_{ns}\sim q$.

    Unbiased, so that its logarithm is a lower bound in expectation, low by about half the square
    of its standard error. Where q misses a part of the posterior that no draw meets, the standard
    error does not show it: then the effective sample size is small, or annealed importance
    sampling says more.

    Attributes:
        draws: S, for each row; at least two.

    Raises:
        ArgumentError: fewer draws.

    References:
        Rezende, Mohamed & Wierstra, *Stochastic backpropagation and approximate inference in deep
        generative models* (2014), appendix E; Burda, Grosse & Salakhutdinov, *Importance weighted
        autoencoders* (2016), who use 5000 draws.
    """

    draws: int = eqx.field(static=True, default=5000)

    def __check_init__(self) -> None:
        require_count("ImportanceSampling", "draws", self.draws)
        if self.draws < 2:
            raise ArgumentError("ImportanceSampling draws is 1; expected at least 2: raise it")

    def weigh(self, held: Held, key: RandomKey) -> Weighed:
        found = Weighed.empty(len(held.index))
        for place, weights in log_weights(held, key, self.draws):
            found.put(place, weights)
        return found
