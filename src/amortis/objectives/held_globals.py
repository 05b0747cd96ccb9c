"""`HeldGlobals`: the loss of the locals alone, with the factor of the globals as it is."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from amortis._types import Parameters, RandomKey, RowIndex, Scalar
from amortis.guide import Noise
from amortis.objectives.loss import NegativeElbo


class HeldGlobals(eqx.Module):
    r"""Minus the ELBO per datum as a function of the locals' parameters, with $q(\theta)$ held.

    Satisfies the optimisers' protocol; see `NegativeElbo` for what is not said here.

    Attributes:
        loss: the loss of all parameters.
        held: raw parameters of the globals.
    """

    loss: NegativeElbo
    held: Parameters

    @property
    def size(self) -> int:
        """Number of rows N."""
        return self.loss.size

    @property
    def first_draws(self) -> int:
        """Fixed draws that are worth starting with."""
        return self.loss.first_draws

    def more_draws(self, draws: int) -> int:
        """The next number of fixed draws after `draws`."""
        return self.loss.more_draws(draws)

    def fixed_noise(self, key: RandomKey, draws: int) -> Noise:
        """Noise that stays."""
        return self.loss.fixed_noise(key, draws)

    def fresh_noise(self, key: RandomKey, draws: int, rows: int) -> Noise:
        """Independent noise."""
        return self.loss.fresh_noise(key, draws, rows)

    def value(self, parameters: Parameters, noise: Noise, index: RowIndex | None) -> Scalar:
        """Minus the ELBO in nats per datum."""
        return self.loss.value(self._all(parameters), noise, index)

    def shared(self, parameters: Parameters) -> Parameters:
        """The raw parameters of every row's factor."""
        return self.loss.shared(self._all(parameters))

    def value_of(self, shared: Parameters, noise: Noise) -> Scalar:
        """The same as `value` for all rows, of what `shared` has made of the parameters."""
        return self.loss.value_of(shared, noise)

    def watched(self, parameters: Parameters) -> tuple[Array, Array]:
        """Nothing besides the loss."""
        del parameters
        return jnp.zeros(0), jnp.zeros(0)

    def step_sizes(self, parameters: Parameters) -> Parameters:
        """Relative step sizes of optimisers that move all parameters alike."""
        return {"locals": self.loss.step_sizes(self._all(parameters))["locals"]}

    def coordinates(self, parameters: Parameters) -> Parameters:
        """Coordinates for second-order search."""
        return {"locals": self.loss.coordinates(self._all(parameters))["locals"]}

    def from_coordinates(self, coordinates: Parameters) -> Parameters:
        """The parameters again."""
        held = self.loss.coordinates({"globals": self.held, "locals": coordinates["locals"]})
        every = {"globals": held["globals"], "locals": coordinates["locals"]}
        return {"locals": self.loss.from_coordinates(every)["locals"]}

    def unsettled(self, coordinates: Parameters, gradient: Parameters) -> tuple[Array, Array]:
        """Nothing is watched, so nothing moves."""
        del coordinates, gradient
        return jnp.zeros(()), jnp.zeros(())

    def _all(self, parameters: Parameters) -> dict[str, Parameters]:
        return {"globals": self.held, "locals": parameters["locals"]}
