"""How an optimisation ended."""

import enum


class Status(enum.Enum):
    """How an optimisation ended; each member is one sentence."""

    CONVERGED = "The objective and the globals have settled."
    DRAWS_EXHAUSTED = (
        "The optimum still moved with fresh draws at the largest number of draws allowed."
    )
    ITERATIONS_EXHAUSTED = "The largest number of iterations was reached before the loss settled."
    STALLED = "Smaller steps no longer settle the loss and the globals within their tolerances."
    DIVERGED = "The loss stayed non-finite after rolling back; the last finite state is kept."
    INTERRUPTED = "Interrupted; the best state so far is kept."

    @property
    def settled(self) -> bool:
        """Whether the result can be taken as an optimum of its objective."""
        return self is Status.CONVERGED

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"
