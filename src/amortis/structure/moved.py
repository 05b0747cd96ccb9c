"""What is moved, and what moves with it: the records of a probe."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool


@dataclasses.dataclass(frozen=True)
class Response:
    """What moved, unit by unit.

    Attributes:
        strong: by local site, units whose factor moved.
        weak: units of which that can neither be said nor denied.
        terms: log density of every site of the model after the move.
    """

    strong: Mapping[str, Bool[np.ndarray, " units"]]
    weak: Bool[np.ndarray, " units"]
    terms: Mapping[str, float]

    @property
    def units(self) -> Bool[np.ndarray, " units"]:
        """Units of which any site moved."""
        return np.any(np.stack(list(self.strong.values())), axis=0)


@dataclasses.dataclass(frozen=True)
class AtSites:
    """What each site's term is at a point.

    Attributes:
        gradients: by site and by local latent, shape (units, numbers).
        elements: its log density in nats, as arrays that add up to it.
    """

    gradients: Mapping[str, Mapping[str, np.ndarray]]
    elements: Mapping[str, tuple[np.ndarray, ...]]


@dataclasses.dataclass(frozen=True)
class Moved:
    """Units, and entries of arrays, to move.

    Attributes:
        units: a mask.
        entries: for each array of which something moves, an axis and a mask along it.
    """

    units: Bool[np.ndarray, " units"]
    entries: Mapping[str, tuple[int, Bool[np.ndarray, " entries"]]]

    def with_(self, other: "Moved") -> "Moved":
        """Both moves at once."""
        entries = dict(self.entries)
        for name, (axis, mask) in other.entries.items():
            entries[name] = (axis, mask | entries[name][1] if name in entries else mask)
        return Moved(self.units | other.units, entries)
