"""`NegativeElbo`: the ELBO as a loss that optimisers can minimise without knowing any model."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._types import Parameters, RandomKey, RowIndex, Scalar
from amortis.guide import Guide, Noise
from amortis.inference_functions import AbstractIterated
from amortis.model import LatentModel
from amortis.objectives.elbo import elbo_draws
from amortis.objectives.fixed_noise import first_draws, fixed_noise, more_draws
from amortis.objectives.gradients import AbstractGradient


class NegativeElbo(eqx.Module):
    """Minus the ELBO per datum, with fixed or fresh noise; satisfies the optimisers' protocol.

    Attributes:
        model: the model.
        guide: the guide.
        gradient: how the entropy enters.
    """

    model: LatentModel
    guide: Guide
    gradient: AbstractGradient

    @property
    def size(self) -> int:
        """Number of rows N; losses are in nats per datum."""
        return self.model.size

    def starting_at(self, log_sd: float) -> "NegativeElbo":
        """The same with another log sd of the locals at the start."""
        return dataclasses.replace(self, guide=self.guide.starting_at(log_sd))

    @property
    def first_draws(self) -> int:
        """Fixed draws that are worth starting with; see `fixed_noise` for what they are."""
        return first_draws(self.guide, self.model.coupled)

    def more_draws(self, draws: int) -> int:
        """The next number of fixed draws after `draws`."""
        return more_draws(self.guide, draws, self.model.coupled)

    def fixed_noise(self, key: RandomKey, draws: int) -> Noise:
        """Noise for all rows that stays while the loss is minimised; see `fixed_noise`."""
        return fixed_noise(self.guide, key, draws, self.model.coupled)

    def fresh_noise(self, key: RandomKey, draws: int, rows: int) -> Noise:
        """Independent antithetic noise.

        Args:
            key: random key.
            draws: number of draws S.
            rows: number of rows of the batch.

        Returns:
            Noise with leading axis S.
        """
        theta_key, z_key = jax.random.split(key)
        return Noise.equal(
            numerics.antithetic(theta_key, draws, (self.guide.noise_size,)),
            numerics.antithetic(z_key, draws, (rows, self.guide.z.dimension)),
        )

    def value(self, parameters: Parameters, noise: Noise, index: RowIndex | None) -> Scalar:
        """Minus the ELBO in nats per datum, as a weighted sum over the draws of `noise`."""
        if _trains_on_steps(self.guide):
            iterates = self.guide.iterates(parameters, index)
            return self._over_iterates(parameters, noise, iterates, index)
        draws = elbo_draws(self.model, self.guide, self.gradient, parameters, noise, index)
        return -jnp.vdot(jnp.asarray(noise.weight), draws) / self.size

    def shared(self, parameters: Parameters) -> Parameters:
        """The globals' parameters, and the iterates of every row's raw parameters."""
        return {
            "globals": parameters["globals"],
            "raw": self.guide.iterates(parameters, None),
        }

    def value_of(self, shared: Parameters, noise: Noise) -> Scalar:
        """The same as `value` for all rows, of what `shared` has made of the parameters."""
        if _trains_on_steps(self.guide):
            return self._over_iterates(shared, noise, shared["raw"], None)
        raw = shared["raw"][-1]
        draws = elbo_draws(self.model, self.guide, self.gradient, shared, noise, None, raw=raw)
        return -jnp.vdot(jnp.asarray(noise.weight), draws) / self.size

    def _over_iterates(
        self,
        parameters: Parameters,
        noise: Noise,
        iterates: Float[Array, "iterates batch raw"],
        index: RowIndex | None,
    ) -> Scalar:
        """The loss at the last iterate, with gradients from those that the function names."""
        inference = self.guide.inference
        assert isinstance(inference, AbstractIterated)  # others have one iterate
        held: Any = jax.lax.stop_gradient(parameters["globals"])

        def at(raw: Array, of_globals: Any) -> Scalar:
            draws = elbo_draws(
                self.model,
                self.guide,
                self.gradient,
                {**parameters, "globals": of_globals},
                noise,
                index,
                raw=raw,
            )
            return -jnp.vdot(jnp.asarray(noise.weight), draws) / self.size

        def of(weights: np.ndarray, raws: Array, of_globals: Any) -> Scalar:
            counted = np.flatnonzero(weights)
            if len(counted) == 1:  # nothing to loop over, which would be compiled apart
                return jnp.asarray(weights[counted[0]], raws.dtype) * at(
                    raws[counted[0]], of_globals
                )
            values = jax.lax.map(lambda raw: at(raw, of_globals), raws[counted])
            return jnp.asarray(weights[counted], values.dtype) @ values

        count = iterates.shape[0]
        fixed = jax.lax.stop_gradient(iterates)
        of_function = of(inference.gradients.function.of(count), iterates, held)
        for_model = inference.gradients.model.of(count)
        of_model = of(for_model, fixed, parameters["globals"])
        # The last iterate's ELBO is the loss; where it alone trains the model it is there already.
        is_last = for_model[-1] == 1.0
        value = jax.lax.stop_gradient(of_model if is_last else at(fixed[-1], held))
        surrogate = of_function + of_model
        return value + surrogate - jax.lax.stop_gradient(surrogate)

    def watched(self, parameters: Parameters) -> tuple[Array, Array]:
        """Means and sds of the globals: what must settle besides the loss."""
        return self.guide.global_moments(parameters)

    def step_sizes(self, parameters: Parameters) -> Parameters:
        """Relative step sizes of optimisers that move all parameters alike; see `Guide`."""
        return self.guide.step_sizes(parameters)

    def coordinates(self, parameters: Parameters) -> Parameters:
        """The parameters in coordinates that suit second-order search; see `Guide`."""
        return self.guide.coordinates(parameters)

    def from_coordinates(self, coordinates: Parameters) -> Parameters:
        """The parameters again."""
        return self.guide.from_coordinates(coordinates)

    def unsettled(self, coordinates: Parameters, gradient: Parameters) -> tuple[Array, Array]:
        """Shifts of the globals' means and sds still to come, by the gradient of this loss."""
        family = self.guide.global_family
        return family.unsettled(coordinates["globals"], self.size * gradient["globals"])


def _trains_on_steps(guide: Guide) -> bool:
    """Whether gradients are those of several iterates, and not of what comes out alone."""
    return isinstance(guide.inference, AbstractIterated) and not guide.inference.gradients.through
