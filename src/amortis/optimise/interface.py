"""What optimisers ask of a loss, and what the loop asks of an optimiser."""

import dataclasses
from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
from jaxtyping import Array

from amortis._types import Parameters, RandomKey, RowIndex, Scalar
from amortis.optimise.status import Status


@runtime_checkable
class StochasticLoss(Protocol):
    """A loss per datum whose noise is an argument; a pytree, so that it can cross `jit`."""

    @property
    def size(self) -> int:
        """Number of rows N."""
        ...

    @property
    def first_draws(self) -> int:
        """Number of fixed draws that is worth starting with, a multiple of four."""
        ...

    def more_draws(self, draws: int) -> int:
        """The next number of fixed draws after `draws`."""
        ...

    def fixed_noise(self, key: RandomKey, draws: int) -> Any:
        """Noise for all rows, spread evenly, with a leading axis of draws; NumPy arrays."""
        ...

    def fresh_noise(self, key: RandomKey, draws: int, rows: int) -> Any:
        """Independent noise for a batch of rows, with a leading axis of draws."""
        ...

    def value(self, parameters: Parameters, noise: Any, index: RowIndex | None) -> Scalar:
        """The loss in nats per datum: a weighted sum over the draws, so parts of `noise` add up."""
        ...

    def shared(self, parameters: Parameters) -> Any:
        """What the loss of all rows computes before any noise enters: real arrays, a pytree."""
        ...

    def value_of(self, shared: Any, noise: Any) -> Scalar:
        """The loss of all rows from that: `value_of(shared(p), e)` is `value(p, e, None)`."""
        ...

    def watched(self, parameters: Parameters) -> tuple[Array, Array]:
        """Locations and scales of the quantities that must settle besides the loss."""
        ...

    def step_sizes(self, parameters: Parameters) -> Any:
        """Relative step sizes of optimisers that move all parameters alike, such as Adam.

        A pytree of factors, one for each leaf.
        """
        ...

    def coordinates(self, parameters: Parameters) -> Parameters:
        """The parameters in coordinates that suit second-order search."""
        ...

    def from_coordinates(self, coordinates: Parameters) -> Parameters:
        """The parameters again."""
        ...

    def unsettled(self, coordinates: Parameters, gradient: Parameters) -> tuple[Array, Array]:
        """Shifts of watched locations (in scales) and scales (relative) still to come."""
        ...


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where an optimisation stands.

    Attributes:
        objective: minus the loss, in nats total.
        noise: standard error of `objective` as measured, in nats; None where the draws are fixed.
        draws: draws per evaluation.
        iterations: evaluations or steps so far.
        fraction: rough share of the work that is done, in [0, 1].
    """

    objective: float
    noise: float | None
    draws: int
    iterations: int
    fraction: float


class AbstractMethod(eqx.Module):
    """An optimiser as pure steps between states; `minimise` is the loop around all of them."""

    @abstractmethod
    def init(self, loss: StochasticLoss, starts: Parameters, key: RandomKey) -> Any:
        """Make the first state.

        Args:
            loss: the loss.
            starts: parameters with a leading axis of restarts, which are run together.
            key: random key of all noise.
        """

    @abstractmethod
    def step(self, loss: StochasticLoss, state: Any) -> Any:
        """Advance by one block of iterations."""

    @abstractmethod
    def terminate(self, state: Any) -> Status | None:
        """How the optimisation has ended, or None to go on."""

    @abstractmethod
    def progress(self, loss: StochasticLoss, state: Any) -> Progress:
        """Where a state stands."""

    @abstractmethod
    def best(self, loss: StochasticLoss, state: Any) -> Parameters:
        """The parameters a state would return, without the axis of restarts."""
