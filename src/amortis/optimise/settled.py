"""`Settled`: where a level of an optimisation came to rest, to compare the next with."""

import dataclasses

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Settled:
    """What one number of draws, or one learning rate, settled on.

    Attributes:
        loss: the loss there, in nats per datum.
        location: locations of what is watched besides (see `StochasticLoss.watched`).
        scale: scales of the same; zero where there is none, as of point estimates.
    """

    loss: float
    location: Float[np.ndarray, " watched"]
    scale: Float[np.ndarray, " watched"]

    def moved_to(self, after: "Settled") -> tuple[float, float]:
        """How far what is watched is from here, where it has a scale.

        Args:
            after: where the next level settled.

        Returns:
            The largest shift of a location, in units of `after`'s scale, and the largest change of
            a log scale; zeros where nothing has a scale.
        """
        spread = (self.scale > 0) & (after.scale > 0)
        if not spread.any():
            return 0.0, 0.0
        shift = np.abs(after.location - self.location)[spread] / after.scale[spread]
        change = np.abs(np.log(after.scale[spread] / self.scale[spread]))
        return float(shift.max()), float(change.max())
