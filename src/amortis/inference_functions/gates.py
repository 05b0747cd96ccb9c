"""How an iterative inference function goes from one iterate to the next."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class AbstractGate(eqx.Module):
    r"""$\lambda_{t+1}$ from $\lambda_t$, what the network says, and where factors start."""

    @abstractmethod
    def outputs(self, raw: int) -> int:
        """Number of outputs that the network needs for so many raw parameters."""

    @abstractmethod
    def __call__(
        self,
        raw: Float[Array, "batch raw"],
        said: Float[Array, "batch outputs"],
        offset: Float[Array, " raw"],
    ) -> Float[Array, "batch raw"]:
        """The next iterate.

        Args:
            raw: the present one.
            said: outputs of the network.
            offset: raw parameters at which factors start.
        """


class Highway(AbstractGate):
    r"""$g\odot\lambda_t + (1-g)\odot f$ with g, between zero and one, from the network too.

    References:
        Srivastava, Greff & Schmidhuber, *Highway networks* (2015); Marino, Yue & Mandt (2018).
    """

    def outputs(self, raw: int) -> int:
        return 2 * raw

    def __call__(
        self,
        raw: Float[Array, "batch raw"],
        said: Float[Array, "batch outputs"],
        offset: Float[Array, " raw"],
    ) -> Float[Array, "batch raw"]:
        proposed, logits = jnp.split(said, 2, axis=1)
        kept = jax.nn.sigmoid(logits)
        return kept * raw + (1.0 - kept) * (offset + proposed)


class Additive(AbstractGate):
    r"""$\lambda_t + f$: the network says the step. A multiple of the slope is gradient ascent."""

    def outputs(self, raw: int) -> int:
        return raw

    def __call__(
        self,
        raw: Float[Array, "batch raw"],
        said: Float[Array, "batch outputs"],
        offset: Float[Array, " raw"],
    ) -> Float[Array, "batch raw"]:
        del offset
        return raw + said


class Replacing(AbstractGate):
    r"""$f$ alone: each iterate forgets the one before, but for what the network has read of it."""

    def outputs(self, raw: int) -> int:
        return raw

    def __call__(
        self,
        raw: Float[Array, "batch raw"],
        said: Float[Array, "batch outputs"],
        offset: Float[Array, " raw"],
    ) -> Float[Array, "batch raw"]:
        del raw
        return offset + said
