"""`Weighed`: what weights of draws say about the evidence of each row; and how it is asked for."""

import dataclasses
import math
from abc import abstractmethod

import equinox as eqx
import numpy as np
from jaxtyping import Float

from amortis._types import RandomKey
from amortis.evidence.held import Held


@dataclasses.dataclass(frozen=True)
class Weighed:
    r"""$\log\hat p(x_n) = \log\frac1S\sum_s w_{ns}$ with unbiased weights, $E[w] = p(x_n)$.

    Attributes:
        log_mean: the estimates, in nats per row.
        ses: their standard errors by the delta method, $\sqrt{\mathrm{Var}(w)/S}/\bar w$.
        effective: effective sample sizes, $(\sum w)^2/\sum w^2$.
        mean_log: means of $\log w$, in nats; of draws of q the row's ELBO.
        mean_log_ses: their standard errors.
        acceptance: mean acceptance of the moves; NaN where nothing moves.
    """

    log_mean: Float[np.ndarray, " rows"]
    ses: Float[np.ndarray, " rows"]
    effective: Float[np.ndarray, " rows"]
    mean_log: Float[np.ndarray, " rows"]
    mean_log_ses: Float[np.ndarray, " rows"]
    acceptance: Float[np.ndarray, " rows"]

    @classmethod
    def empty(cls, rows: int) -> "Weighed":
        """Numbers that are not known yet, to be filled in by blocks."""
        return cls(*(np.full(rows, np.nan) for _ in dataclasses.fields(cls)))

    def put(self, place: np.ndarray, log_weights: Float[np.ndarray, "draws block"]) -> None:
        """Write down what the weights of some rows say.

        Args:
            place: the rows' places.
            log_weights: of independent draws, in double precision.
        """
        draws = log_weights.shape[0]
        top = log_weights.max(axis=0)
        top = np.where(np.isfinite(top), top, 0.0)
        weights = np.exp(log_weights - top)
        first, second = weights.sum(axis=0), np.square(weights).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):  # rows of which no draw has mass
            self.log_mean[place] = top + np.log(first / draws)
            self.effective[place] = np.square(first) / second
            spread = draws / self.effective[place] - 1.0  # of weights, relative to their mean
            self.ses[place] = np.sqrt(np.maximum(spread, 0.0) / max(draws - 1, 1))
            self.mean_log[place] = log_weights.mean(axis=0)
            sd = log_weights.std(axis=0, ddof=1) if draws > 1 else np.nan
            self.mean_log_ses[place] = sd / math.sqrt(draws)


class AbstractEvidenceMethod(eqx.Module):
    """How the evidence of rows is estimated, without bias, from below in expectation of its log."""

    @abstractmethod
    def weigh(self, held: Held, key: RandomKey) -> Weighed:
        """Estimate the evidence of every row.

        Args:
            held: the rows, the globals held, and the factors from which draws start.
            key: random key.
        """

    def __str__(self) -> str:
        fields = (f"{f.name}={getattr(self, f.name)}" for f in dataclasses.fields(self))
        return f"{type(self).__name__}({', '.join(fields)})"
