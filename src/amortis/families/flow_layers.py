"""Layers of a normalizing flow as choices: which FlowJAX bijection, how many, how wide."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from amortis._require import require_count, require_kind
from amortis.families.flow_transformers import AbstractTransformer, Spline
from amortis.families.flowjax_import import flowjax_modules

_HAS_SPLITS = 4
"""From so many coordinates on there are more ways to split them than the turns of one round."""


class AbstractLayers(eqx.Module):
    """Layers of one kind, in each of which a network gives the parameters of transformers.

    Hashable, without arrays: what is trained lies in the flat vector of a `Stack`.
    """

    layers: eqx.AbstractVar[int]
    width: eqx.AbstractVar[int]
    depth: eqx.AbstractVar[int]
    transformer: eqx.AbstractVar[AbstractTransformer]

    def __check_init__(self) -> None:
        owner = type(self).__name__
        for name in ("layers", "width", "depth"):
            require_count(owner, name, getattr(self, name))
        require_kind(f"{owner} transformer", self.transformer, AbstractTransformer, "Spline()")

    @abstractmethod
    def bijection(self, dimension: int) -> Any:
        """One FlowJAX layer on at least two coordinates, with weights that count for nothing."""

    @abstractmethod
    def orders(self, dimension: int) -> Int[np.ndarray, "layers d"]:
        """The order in which each layer takes the coordinates."""

    @abstractmethod
    def ends(self, dimension: int) -> tuple[int, int]:
        """Coordinates that a layer's network reads, and for how many it gives parameters."""

    def size(self, dimension: int) -> int:
        """Number of trained parameters on d coordinates, without building anything."""
        if dimension < 2:  # one coordinate has nothing to be conditioned on
            return dimension * self.transformer.size
        inputs, outputs = self.ends(dimension)
        hidden = (inputs + 1) * self.width + (self.depth - 1) * (self.width + 1) * self.width
        return self.layers * (hidden + (self.width + 1) * outputs * self.transformer.size)

    def _network(self) -> dict[str, Any]:
        # FlowJAX wants a key, though a stack replaces the weights: the kind that compiles fastest.
        # The activation is smooth, for second-order search.
        return {
            "key": jax.random.key(0, impl="unsafe_rbg"),
            "transformer": self.transformer.bijection(),
            "nn_width": self.width,
            "nn_depth": self.depth,
            "nn_activation": jnp.tanh,
        }


class CouplingLayers(AbstractLayers):
    r"""Coupling layers: half of the coordinates move, by parameters that the other half gives.

    $y_A = x_A,\; y_B = t(x_B;\, \mathrm{net}(x_A))$. A draw and its density take one pass, and so
    does the density of any other value. Every coordinate is conditioned on once in a round of two
    layers (three, if their number is odd); later rounds split the coordinates otherwise.

    Attributes:
        layers: how many, at least one.
        width: units in each hidden layer of the networks, at least one.
        depth: hidden layers of the networks, at least one.
        transformer: the map t of a coordinate.

    Raises:
        ArgumentError: a number of layers, width or depth below one, or no transformer.

    References:
        Dinh, Sohl-Dickstein & Bengio, *Density estimation using Real NVP* (2017).
    """

    layers: int = eqx.field(static=True, default=4)
    width: int = eqx.field(static=True, default=32)
    depth: int = eqx.field(static=True, default=1)
    transformer: AbstractTransformer = eqx.field(static=True, default=Spline())

    def bijection(self, dimension: int) -> Any:
        return flowjax_modules().bijections.Coupling(
            untransformed_dim=dimension // 2, dim=dimension, **self._network()
        )

    def orders(self, dimension: int) -> Int[np.ndarray, "layers d"]:
        given = dimension // 2
        turns = -(-dimension // given)
        rounds = _rounds(self.layers, turns, dimension)
        turned = [np.roll(order, -turn * given) for order in rounds for turn in range(turns)]
        return np.stack(turned[: self.layers])

    def ends(self, dimension: int) -> tuple[int, int]:
        return dimension // 2, dimension - dimension // 2


class AutoregressiveLayers(AbstractLayers):
    r"""Autoregressive layers: each coordinate moves by parameters that those before it give.

    $y_j = t(x_j;\, \mathrm{net}_j(x_{<j}))$, taken in the direction in which a draw and its density
    take one pass (inverse autoregressive flow); the density of any other value takes d passes of
    each layer. Every second layer takes the coordinates backwards.

    Attributes:
        layers: how many, at least one.
        width: units in each hidden layer of the networks, at least one.
        depth: hidden layers of the networks, at least one.
        transformer: the map t of a coordinate.

    Raises:
        ArgumentError: a number of layers, width or depth below one, or no transformer.

    References:
        Papamakarios, Pavlakou & Murray, *Masked autoregressive flow for density estimation* (2017);
        Kingma et al., *Improved variational inference with inverse autoregressive flow* (2016).
    """

    layers: int = eqx.field(static=True, default=4)
    width: int = eqx.field(static=True, default=32)
    depth: int = eqx.field(static=True, default=1)
    transformer: AbstractTransformer = eqx.field(static=True, default=Spline())

    def bijection(self, dimension: int) -> Any:
        return flowjax_modules().bijections.MaskedAutoregressive(dim=dimension, **self._network())

    def orders(self, dimension: int) -> Int[np.ndarray, "layers d"]:
        rounds = _rounds(self.layers, 2, dimension)
        turned = [way for order in rounds for way in (order, order[::-1])]
        return np.stack(turned[: self.layers])

    def ends(self, dimension: int) -> tuple[int, int]:
        return dimension, dimension


def _rounds(layers: int, turns: int, dimension: int) -> list[Int[np.ndarray, " d"]]:
    generator = np.random.default_rng(0)  # the same in every run: a fit is its raw parameters
    order = np.arange(dimension)
    later = range(1, -(-layers // turns))
    shuffled = dimension >= _HAS_SPLITS
    return [order, *(generator.permutation(dimension) if shuffled else order for _ in later)]
