"""Losses that compile in no time: what optimisers ask for, without a model behind it."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class Toy(eqx.Module):
    """f(p) per datum, tilted by noise: f(p) + scale · mean(ε)·p, with Gaussian ε of p's size.

    Attributes:
        function: the loss without noise.
        dimension: length of p.
        scale: size of the tilt.
        size: the number of rows it claims to have.
        bad_draws: fixed noise of this many draws or more makes it NaN.
    """

    function: Callable = eqx.field(static=True)
    dimension: int = eqx.field(static=True)
    scale: float = eqx.field(static=True, default=0.0)
    size: int = eqx.field(static=True, default=100)
    bad_draws: int = eqx.field(static=True, default=10**9)

    @property
    def first_draws(self):
        return 4

    def more_draws(self, draws):
        return 2 * draws

    def fixed_noise(self, key, draws):
        noise = np.asarray(jax.random.normal(key, (draws, self.dimension)))
        noise = noise * np.nan if draws >= self.bad_draws else noise
        return {"tilt": noise, "weight": np.full(draws, 1.0 / draws, noise.dtype)}

    def fresh_noise(self, key, draws, rows):
        noise = jax.random.normal(key, (draws, self.dimension))
        return {"tilt": noise, "weight": jnp.full(draws, 1.0 / draws)}

    def value(self, parameters, noise, index):
        tilt = self.scale * noise["tilt"] @ parameters
        return jnp.vdot(noise["weight"], self.function(parameters) + tilt)

    def shared(self, parameters):
        return parameters

    def value_of(self, shared, noise):
        return self.value(shared, noise, None)

    def watched(self, parameters):
        return parameters, jnp.ones_like(parameters)

    def step_sizes(self, parameters):
        return jax.tree.map(lambda _: 1.0, parameters)

    def coordinates(self, parameters):
        return parameters

    def from_coordinates(self, coordinates):
        return coordinates

    def unsettled(self, coordinates, gradient):
        return jnp.max(jnp.abs(gradient)), jnp.zeros(())


def bowl(p):
    """A quadratic with curvatures 1, 10, …, and its minimum of 3 at one."""
    return 3.0 + 0.5 * jnp.sum(10.0 ** jnp.arange(1.0 * p.shape[0]) * (p - 1.0) ** 2)


def two_wells(p):
    """Minima near -1 and 1; the one at 1 is lower by about one."""
    return jnp.sum((p**2 - 1.0) ** 2 - 0.5 * p)


def walled(p):
    """A quadratic with its minimum at 1, which is NaN beyond 1.5 in any coordinate."""
    return jnp.sum(jnp.where(p > 1.5, jnp.nan, 0.5 * (p - 1.0) ** 2))


def nowhere(p):
    """Finite at no point."""
    return jnp.sum(p) * jnp.nan
