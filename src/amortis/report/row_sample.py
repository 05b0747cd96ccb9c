"""Which rows of large data are shown: the worst always, and of the rest an even selection."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

MOST_ROWS = 1200
"""Rows in one picture: as many as a page holds as single marks."""

_WORST = 60
"""Rows with the largest gaps, and with the largest k-hats, that are always among them."""


@dataclasses.dataclass(frozen=True)
class RowSample:
    """Rows that are shown, out of all.

    Attributes:
        rows: their positions in the data, in increasing order.
        size: number of all rows N.
        worst: whether the worst were picked, so that the selection is not even.
    """

    rows: Int[np.ndarray, " shown"]
    size: int
    worst: bool

    @property
    def note(self) -> str:
        """How many are shown; empty where all are."""
        if len(self.rows) == self.size:
            return ""
        how = "the worst and an even selection of the rest" if self.worst else "an even selection"
        return f"{len(self.rows):,} of {self.size:,} rows are shown: {how}."


def sample_rows(
    size: int, badness: tuple[Float[np.ndarray, " rows"], ...] = (), most: int = MOST_ROWS
) -> RowSample:
    """Choose rows to show, the same for every picture of a page.

    Args:
        size: number of all rows.
        badness: what makes a row bad, such as its gap; the largest of each are kept.
        most: number of rows not to be passed.

    Returns:
        The rows.
    """
    if size <= most:
        return RowSample(np.arange(size), size, bool(badness))
    worst = [np.argpartition(-np.nan_to_num(of, nan=-np.inf), _WORST)[:_WORST] for of in badness]
    kept = np.unique(np.concatenate([np.zeros(0, int), *worst]))
    # Evenly spaced with a shuffle inside each stretch: rows in a periodic order must not all be of
    # one phase. The generator's seed is fixed, so that a page of the same fit is the same page.
    count = most - len(kept)
    edges = np.linspace(0, size, count + 1).astype(int)
    offsets = np.random.default_rng(0).integers(0, np.maximum(np.diff(edges), 1))
    rows = np.union1d(kept, edges[:-1] + offsets)
    return RowSample(rows, size, bool(badness))
