"""How the entries of a data array belong to units: the hypotheses that probing tests."""

import dataclasses
from abc import abstractmethod

import numpy as np
from jaxtyping import Bool, Int


class AbstractAlignment:
    """Which units may read which entries along one axis of an array."""

    axis: int

    @abstractmethod
    def held(self, units: Bool[np.ndarray, " units"], length: int) -> Bool[np.ndarray, " length"]:
        """The entries that no unit but these reads.

        Args:
            units: which units.
            length: entries along the array's axis.
        """


@dataclasses.dataclass(frozen=True)
class Shared(AbstractAlignment):
    """Every unit may read all of the array: a number, a grid, or what only the globals read."""

    axis: int = 0

    def held(self, units: Bool[np.ndarray, " units"], length: int) -> Bool[np.ndarray, " length"]:
        return np.zeros(length, bool)


@dataclasses.dataclass(frozen=True)
class Window(AbstractAlignment):
    r"""Unit n reads the entries $\mathrm{stride} \cdot n + o$ for fixed offsets o.

    Attributes:
        axis: axis of the array along which its entries run.
        stride: entries from one unit's to the next.
        offsets: the offsets, in increasing order.
        size: number of units N.
    """

    size: int
    axis: int = 0
    stride: int = 1
    offsets: tuple[int, ...] = (0,)

    def held(self, units: Bool[np.ndarray, " units"], length: int) -> Bool[np.ndarray, " length"]:
        if self.pointwise and length == self.size:
            return units  # what follows, a hundred times as fast
        entry = np.arange(length)
        held = np.ones(length, bool)
        for offset in self.offsets:
            reader, remainder = np.divmod(entry - offset, self.stride)
            there = (remainder == 0) & (reader >= 0) & (reader < self.size)
            held &= ~there | units[np.clip(reader, 0, self.size - 1)]
        return held

    def edges(self, length: int) -> Bool[np.ndarray, " units"]:
        """The units that lack an entry because they are near an end."""
        unit = np.arange(self.size) * self.stride
        first, last = unit + min(self.offsets), unit + max(self.offsets)
        return (first < 0) | (last >= length)

    @property
    def disjoint(self) -> bool:
        """Whether each entry has one reader: runs of `stride` entries, or one entry in N."""
        runs = self.offsets == tuple(range(self.stride))
        return runs or all(offset % self.size == 0 for offset in self.offsets)

    @property
    def pointwise(self) -> bool:
        """Whether unit n reads entry n and no other."""
        return self.stride == 1 and self.offsets == (0,)


@dataclasses.dataclass(frozen=True, eq=False)
class Owned(AbstractAlignment):
    """Each entry is read by one unit, its group, which an integer array names.

    Attributes:
        index: name of the integer array.
        base: the index of the first group, zero or one.
        owner: the unit that owns each entry.
    """

    index: str
    base: int
    owner: Int[np.ndarray, " entries"]
    axis: int = 0

    def held(self, units: Bool[np.ndarray, " units"], length: int) -> Bool[np.ndarray, " length"]:
        return units[self.owner]
