"""`AbstractBesideElbo`: what losses of other objectives share with that of the ELBO."""

import abc
import dataclasses

import equinox as eqx
from jaxtyping import Array

from amortis._types import Parameters, RandomKey, RowIndex, Scalar
from amortis.guide import Guide, Noise
from amortis.model import LatentModel
from amortis.objectives.loss import NegativeElbo


class AbstractBesideElbo(eqx.Module):
    """A loss of the ELBO's parameters, watched and scaled as the ELBO is; see `NegativeElbo`.

    What is evaluated, and on which noise, is for each loss to say.

    Attributes:
        elbo: the loss of the ELBO.
    """

    elbo: eqx.AbstractVar[NegativeElbo]

    @abc.abstractmethod
    def fixed_noise(self, key: RandomKey, draws: int) -> Noise:
        """Noise that stays."""

    @abc.abstractmethod
    def fresh_noise(self, key: RandomKey, draws: int, rows: int) -> Noise:
        """Independent noise."""

    @abc.abstractmethod
    def value(self, parameters: Parameters, noise: Noise, index: RowIndex | None) -> Scalar:
        """What is minimised, in nats per datum."""

    @abc.abstractmethod
    def shared(self, parameters: Parameters) -> Parameters:
        """What all draws share, for all rows."""

    @abc.abstractmethod
    def value_of(self, shared: Parameters, noise: Noise) -> Scalar:
        """The same as `value` for all rows, of what `shared` has made of the parameters."""

    @property
    def model(self) -> LatentModel:
        """The model."""
        return self.elbo.model

    @property
    def guide(self) -> Guide:
        """The guide."""
        return self.elbo.guide

    @property
    def size(self) -> int:
        """Number of rows N."""
        return self.elbo.size

    @property
    def first_draws(self) -> int:
        """Fixed draws that are worth starting with."""
        return self.elbo.first_draws

    def starting_at(self, log_sd: float) -> "AbstractBesideElbo":
        """The same with another log sd of the locals at the start."""
        return dataclasses.replace(self, elbo=self.elbo.starting_at(log_sd))

    def more_draws(self, draws: int) -> int:
        """The next number of fixed draws after `draws`."""
        return self.elbo.more_draws(draws)

    def watched(self, parameters: Parameters) -> tuple[Array, Array]:
        """Means and sds of the globals."""
        return self.elbo.watched(parameters)

    def step_sizes(self, parameters: Parameters) -> Parameters:
        """Relative step sizes of optimisers that move all parameters alike."""
        return self.elbo.step_sizes(parameters)

    def coordinates(self, parameters: Parameters) -> Parameters:
        """Coordinates for second-order search."""
        return self.elbo.coordinates(parameters)

    def from_coordinates(self, coordinates: Parameters) -> Parameters:
        """The parameters again."""
        return self.elbo.from_coordinates(coordinates)

    def unsettled(self, coordinates: Parameters, gradient: Parameters) -> tuple[Array, Array]:
        """How far the globals are from stationary, as if by the ELBO."""
        return self.elbo.unsettled(coordinates, gradient)
