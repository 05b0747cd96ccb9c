"""How an iterative inference function reads the slope of a row's own ELBO."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._require import require_positive

_LEAST_SPREAD = 1e-6


class AbstractEncoding(eqx.Module):
    """Maps slopes, which span many orders of magnitude, to what a network can read."""

    @abstractmethod
    def columns(self, raw: int) -> int:
        """Number of columns for a slope of so many components."""

    @abstractmethod
    def __call__(self, slope: Float[Array, "batch raw"]) -> Float[Array, "batch columns"]:
        """Encode the slopes of a batch of rows.

        Args:
            slope: derivatives of each row's ELBO in its raw parameters, in nats.
        """


class LogSign(AbstractEncoding):
    r"""Log-magnitude and sign of every component.

    $(\log|g| / p, \operatorname{sign} g)$ where $|g| \ge e^{-p}$, else $(-1, e^p g)$, which meets
    it without a jump.

    Attributes:
        reach: p, in factors of e below one.

    Raises:
        ArgumentError: a reach that is not positive.

    References:
        Andrychowicz et al., *Learning to learn by gradient descent by gradient descent* (2016),
        appendix A; Marino, Yue & Mandt, *Iterative amortized inference* (2018).
    """

    reach: float = eqx.field(static=True, default=10.0)

    def __check_init__(self) -> None:
        require_positive("LogSign", "reach", self.reach)

    def columns(self, raw: int) -> int:
        return 2 * raw

    def __call__(self, slope: Float[Array, "batch raw"]) -> Float[Array, "batch columns"]:
        size, least = jnp.abs(slope), jnp.exp(jnp.asarray(-self.reach, slope.dtype))
        large = size >= least
        # The logarithm is taken of what it is used for only: its slope at zero is no number.
        log_size = jnp.log(jnp.where(large, size, 1.0)) / self.reach
        return jnp.concatenate(
            [
                jnp.where(large, log_size, -1.0),
                jnp.where(large, jnp.sign(slope), slope / least),
            ],
            axis=1,
        )


class LayerNormalized(AbstractEncoding):
    r"""Every component less the row's mean, over the row's standard deviation.

    It keeps the direction of a slope and drops its length.

    References:
        Ba, Kiros & Hinton, *Layer normalization* (2016); Marino, Yue & Mandt (2018).
    """

    def columns(self, raw: int) -> int:
        return raw

    def __call__(self, slope: Float[Array, "batch raw"]) -> Float[Array, "batch columns"]:
        centered = slope - jnp.mean(slope, axis=1, keepdims=True)
        variance = jnp.mean(jnp.square(centered), axis=1, keepdims=True)
        return centered / jnp.sqrt(variance + _LEAST_SPREAD**2)


class PlainSlope(AbstractEncoding):
    """The slope as it is."""

    def columns(self, raw: int) -> int:
        return raw

    def __call__(self, slope: Float[Array, "batch raw"]) -> Float[Array, "batch columns"]:
        return slope
