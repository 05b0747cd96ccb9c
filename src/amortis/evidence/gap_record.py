"""`InferenceGap`: what parts the ELBO of the encoder from the log evidence, term by term."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from amortis.evidence.record import noise_of_mean, plain
from amortis.fitting import Estimate

_UNIT = "nats per datum"


@dataclasses.dataclass(frozen=True)
class RowTerm:
    """A quantity that each row has, as it was measured.

    Attributes:
        name: what it is.
        rows: its values, in nats per row.
        row_ses: their standard errors, from the draws.
    """

    name: str
    rows: Float[np.ndarray, " rows"]
    row_ses: Float[np.ndarray, " rows"]

    @property
    def over_rows(self) -> Estimate:
        """The mean, with its standard error if the rows are a sample; it holds both noises."""
        count = len(self.rows)
        sd = float(self.rows.std(ddof=1)) if count > 1 else math.nan
        return Estimate(float(self.rows.mean()), sd / math.sqrt(count), _UNIT)

    @property
    def mean(self) -> Estimate:
        """The mean over these very rows, with the standard error that draws give it."""
        return Estimate(float(self.rows.mean()), noise_of_mean(self.row_ses), _UNIT)

    def to_dict(self) -> dict[str, Any]:
        """The term as plain values, for JSON."""
        return {
            "name": self.name,
            "mean": plain(self.mean.mean),
            "se_of_draws": plain(self.mean.se),
            "se_over_rows": plain(self.over_rows.se),
        }


@dataclasses.dataclass(frozen=True)
class InferenceGap:
    r"""$\log p(x) - \mathrm{ELBO}$ per datum, and the terms that it is made of.

    Attributes:
        index: positions of the rows in the data.
        log_evidence: $\log\hat p(x_n\mid\hat\theta)$, by the better of `estimates`.
        estimates: the lower bounds that it was chosen from, by name.
        optima: the ELBO of each row's own optimum, by family, from the poorest on.
        encoder: the ELBO of the function's factors.
        terms: the approximation gap of the richest family, what each family gains on the one
            before it, down to the fit's own, and the amortization gap.
        total: the whole gap, with an ELBO measured on draws that no term has seen.
    """

    index: Int[np.ndarray, " rows"]
    log_evidence: RowTerm
    estimates: Mapping[str, RowTerm]
    optima: tuple[RowTerm, ...]
    encoder: RowTerm
    terms: tuple[RowTerm, ...]
    total: RowTerm

    @property
    def sum_of_terms(self) -> Estimate:
        """What the terms add up to, in nats per datum."""
        means = [term.mean for term in self.terms]
        # All terms but the first share no draws with the evidence; they telescope within draws.
        se = math.hypot(self.log_evidence.mean.se, self.encoder.mean.se)
        return Estimate(sum(mean.mean for mean in means), se, _UNIT)

    @property
    def closure(self) -> Estimate:
        """The sum of the terms less the whole: zero but for noise, which is that of two ELBOs."""
        apart = self.sum_of_terms.mean - self.total.mean.mean
        noise = math.hypot(self.encoder.mean.se, self._other_elbo_se)
        return Estimate(apart, noise, _UNIT)

    @property
    def _other_elbo_se(self) -> float:
        whole, evidence = self.total.mean.se, self.log_evidence.mean.se
        return math.sqrt(max(whole**2 - evidence**2, 0.0))

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON; what is not finite is None."""
        return {
            "rows": len(self.index),
            "unit": _UNIT,
            "log_evidence": self.log_evidence.to_dict(),
            "estimates": [term.to_dict() for term in self.estimates.values()],
            "optima": [term.to_dict() for term in self.optima],
            "encoder": self.encoder.to_dict(),
            "terms": [term.to_dict() for term in self.terms],
            "total": self.total.to_dict(),
            "sum_of_terms": plain(self.sum_of_terms.mean),
            "closure": {"mean": plain(self.closure.mean), "se": plain(self.closure.se)},
        }

    def __str__(self) -> str:
        levels = [*self.estimates.values(), *reversed(self.optima), self.encoder]
        width = max(len(line.name) for line in (*levels, *self.terms, self.total)) + 2
        head = f"{f'{len(self.index)} rows, {_UNIT}':{width}}      mean  ± draws  ± rows"

        def line(term: RowTerm) -> str:
            mean, rows = term.mean, term.over_rows
            return f"  {term.name:{width - 2}}{mean.mean:10.3f}{mean.se:9.3f}{rows.se:8.3f}"

        sums = f"{self.sum_of_terms.mean:.3f} = total {self.closure.mean:+.3f}"
        return "\n".join(
            [
                head,
                *map(line, levels),
                "gaps",
                *map(line, (*self.terms, self.total)),
                f"  the terms add up to {sums} ± {self.closure.se:.3f}",
            ]
        )
