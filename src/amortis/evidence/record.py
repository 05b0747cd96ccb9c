"""`LogEvidence`: log evidence of rows with the globals held, and how well it is known."""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from amortis.evidence.weighed import AbstractEvidenceMethod, Weighed
from amortis.fitting import Estimate


@dataclasses.dataclass(frozen=True)
class LogEvidence:
    r"""$\log\hat p(x_n\mid\hat\theta)$ of rows; each is a lower bound in expectation.

    Attributes:
        index: positions of the rows in the data.
        rows: the estimates, in nats per row.
        row_ses: their standard errors, by the delta method; a row's estimate is low by about half
            the square.
        effective: effective sample sizes of the rows' weights.
        acceptance: mean acceptance of each row's moves; NaN where nothing moves.
        method: how they were made.
    """

    index: Int[np.ndarray, " rows"]
    rows: Float[np.ndarray, " rows"]
    row_ses: Float[np.ndarray, " rows"]
    effective: Float[np.ndarray, " rows"]
    acceptance: Float[np.ndarray, " rows"]
    method: AbstractEvidenceMethod

    @classmethod
    def of(
        cls, index: Int[np.ndarray, " rows"], weighed: Weighed, method: AbstractEvidenceMethod
    ) -> "LogEvidence":
        """What weights say, as a record.

        Args:
            index: positions of the rows.
            weighed: what their weights say.
            method: how they were made.
        """
        return cls(
            index, weighed.log_mean, weighed.ses, weighed.effective, weighed.acceptance, method
        )

    @property
    def mean(self) -> Estimate:
        """The mean over the rows, in nats per datum, and its sampling error with rows as given."""
        return Estimate(float(self.rows.mean()), noise_of_mean(self.row_ses), "nats per datum")

    @property
    def total(self) -> Estimate:
        """The sum over the rows, in nats."""
        count = len(self.rows)
        return Estimate(count * self.mean.mean, count * self.mean.se)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON; what is not finite is None."""
        return {
            "method": str(self.method),
            "rows": len(self.rows),
            "mean": plain(self.mean.mean),
            "se": plain(self.mean.se),
            "unit": self.mean.unit,
            "effective_draws": {
                "median": plain(float(np.median(self.effective))),
                "least": plain(float(np.min(self.effective))),
            },
            "by_row": [
                {"row": int(row), "log_evidence": plain(value), "se": plain(se)}
                for row, value, se in zip(
                    self.index.tolist(), self.rows.tolist(), self.row_ses.tolist(), strict=True
                )
            ],
        }

    def __str__(self) -> str:
        mean = self.mean
        return (
            f"log evidence {mean.mean:.3f} ± {mean.se:.3f} {mean.unit} on {len(self.rows)} rows by "
            f"{self.method}; effective draws {np.median(self.effective):.0f} (median), "
            f"{self.effective.min():.0f} (least)"
        )


def noise_of_mean(ses: Float[np.ndarray, " rows"]) -> float:
    """Standard error of the mean of rows whose noise is independent."""
    return float(np.sqrt(np.sum(np.square(ses))) / len(ses))


def plain(value: float) -> float | None:
    """A number for JSON, None in place of what is not finite."""
    return float(value) if math.isfinite(value) else None
