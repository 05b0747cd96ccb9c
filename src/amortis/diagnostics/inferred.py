"""`InferredBlock`: posteriors of a block of new rows, and the choices that `stream` offers."""

import dataclasses
import enum
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float


class Missing(enum.Enum):
    """What `stream` does with rows that have NaN or infinity among their data."""

    REFUSED = "an error says which rows they are"
    NAN = "their means, sds and k-hat are NaN, and `missing` says which rows they are"


class Outside(enum.Enum):
    """What `stream` does about rows that the fit may not reach, those with k-hat above 0.7."""

    UNCHECKED = "k-hat is not measured"
    FLAGGED = "k-hat of every row is measured"
    REFINED = "as FLAGGED, and rows above 0.7 get their own optimum with q(θ) held"


@dataclasses.dataclass(frozen=True)
class InferredBlock:
    r"""Posteriors of new rows, of one block of a stream.

    Attributes:
        start: position of the block's first row in the stream.
        mean: posterior means on the constrained scale by site, shape (rows, *site).
        sd: standard deviations.
        k: Pareto k-hat of each row's factor as it is reported here, `-inf` where it is exact; None
            where it was not measured.
        outside: whether k-hat of the reported factor is above 0.7; None where it was not measured.
        refined: whether the row was outside the function's reach and got a factor of its own.
        missing: whether data of the row are NaN or infinite, and so its posterior is NaN.
    """

    start: int
    mean: Mapping[str, Float[np.ndarray, "rows ..."]]
    sd: Mapping[str, Float[np.ndarray, "rows ..."]]
    k: Float[np.ndarray, " rows"] | None
    outside: Bool[np.ndarray, " rows"] | None
    refined: Bool[np.ndarray, " rows"]
    missing: Bool[np.ndarray, " rows"]

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.missing)

    def __repr__(self) -> str:
        parts = [f"rows {self.start} to {self.start + self.size - 1}"]
        counts = {
            "outside": 0 if self.outside is None else int(self.outside.sum()),
            "refined": int(self.refined.sum()),
            "missing": int(self.missing.sum()),
        }
        parts += [f"{count} {name}" for name, count in counts.items() if count]
        return f"InferredBlock({', '.join(parts)})"
