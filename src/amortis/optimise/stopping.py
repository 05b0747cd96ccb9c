"""When a noisy loss has stopped improving."""

import equinox as eqx
import numpy as np
from jaxtyping import Float

from amortis._errors import ArgumentError


class Plateau(eqx.Module):
    r"""A noisy loss has settled when what it may still be losing is known to be small.

    Of the trace since the last change of the learning rate the second half is taken, so early
    descent is forgotten, and cut in two. The drop between the means of its quarters, plus
    `confidence` standard errors, must be below the tolerance:
    $\bar y_A - \bar y_B + c\,\widehat{\mathrm{se}} \le \text{tolerance}$. The standard error comes
    from successive differences of the entries, which a trend hardly inflates.

    It is not proof against noise, for it looks after every entry, and now and then a chance rise
    hides a drop. Of recorded traces with more than two (five) tolerances still to be gained the
    defaults stopped 3 (1) in a hundred: none where the noise of an entry is at most four
    tolerances, a quarter (one in fourteen) where it is above sixteen. There is no floor under the
    tolerance: with noise that large the rule may also not fire for a long time, and a fit then
    runs to its limit and says so. A larger batch or more draws help. See `docs/stopping.md`.

    Attributes:
        tolerance: drop per quarter that counts as settled, in nats per datum.
        confidence: standard errors added to the drop.
        entries: entries of the trace before the rule may fire, at least eight.

    Raises:
        ArgumentError: a tolerance that is not positive, or fewer than eight entries.
    """

    tolerance: float = eqx.field(static=True, default=1e-3)
    confidence: float = eqx.field(static=True, default=2.0)
    entries: int = eqx.field(static=True, default=40)

    def __check_init__(self) -> None:
        if not self.tolerance > 0:
            raise ArgumentError(
                f"Plateau tolerance is {self.tolerance}; expected a positive number"
            )
        if self.entries < 8:
            raise ArgumentError(f"Plateau entries is {self.entries}; expected at least 8: raise it")

    def settled(self, trace: Float[np.ndarray, " entries"]) -> bool:
        """Whether the trace has settled.

        Args:
            trace: averages of the loss over equal numbers of steps, oldest first, in nats per
                datum.

        Returns:
            True if the drop is resolved to be below the tolerance.
        """
        if trace.shape[0] < self.entries:
            return False
        quarter = max(trace.shape[0] // 4, 2)
        first, second = trace[-2 * quarter : -quarter], trace[-quarter:]
        differences = np.diff(trace[-2 * quarter :])
        variance = 0.5 * float(np.mean(np.square(differences)))
        error = np.sqrt(2.0 * variance / quarter)
        drop = float(first.mean() - second.mean())
        return bool(drop + self.confidence * error <= self.tolerance)
