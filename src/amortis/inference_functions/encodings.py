"""How an iterative inference function reads the slope of a row's own ELBO."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._require import require_kind, require_positive

_LEAST_SPREAD = 1e-6


class AbstractEncoding(eqx.Module):
    """Maps slopes or errors, which span many orders of magnitude, to what a network can read."""

    @property
    @abstractmethod
    def reads_slopes(self) -> bool:
        """Whether the slopes are looked at."""

    @property
    @abstractmethod
    def reads_errors(self) -> bool:
        """Whether the errors are looked at."""

    @abstractmethod
    def columns(self, raw: int, errors: int = 0) -> int:
        """Number of columns for a slope of so many components, and so many errors."""

    @abstractmethod
    def __call__(
        self,
        slope: Float[Array, "batch raw"],
        errors: Float[Array, "batch errors"] | None = None,
    ) -> Float[Array, "batch columns"]:
        """Encode what is seen of a batch of rows.

        Args:
            slope: derivatives of each row's ELBO in its raw parameters, in nats.
            errors: standardized errors of each row's sites; None where they are not read.
        """


class AbstractSlopeEncoding(AbstractEncoding):
    """An encoding of slopes alone."""

    @property
    def reads_slopes(self) -> bool:
        return True

    @property
    def reads_errors(self) -> bool:
        return False


class LogSign(AbstractSlopeEncoding):
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

    def columns(self, raw: int, errors: int = 0) -> int:
        return 2 * raw

    def __call__(
        self,
        slope: Float[Array, "batch raw"],
        errors: Float[Array, "batch errors"] | None = None,
    ) -> Float[Array, "batch columns"]:
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


class LayerNormalized(AbstractSlopeEncoding):
    r"""Every component less the row's mean, over the row's standard deviation.

    It keeps the direction of a slope and drops its length.

    References:
        Ba, Kiros & Hinton, *Layer normalization* (2016); Marino, Yue & Mandt (2018).
    """

    def columns(self, raw: int, errors: int = 0) -> int:
        return raw

    def __call__(
        self,
        slope: Float[Array, "batch raw"],
        errors: Float[Array, "batch errors"] | None = None,
    ) -> Float[Array, "batch columns"]:
        centered = slope - jnp.mean(slope, axis=1, keepdims=True)
        variance = jnp.mean(jnp.square(centered), axis=1, keepdims=True)
        return centered / jnp.sqrt(variance + _LEAST_SPREAD**2)


class PlainSlope(AbstractSlopeEncoding):
    """The slope as it is."""

    def columns(self, raw: int, errors: int = 0) -> int:
        return raw

    def __call__(
        self,
        slope: Float[Array, "batch raw"],
        errors: Float[Array, "batch errors"] | None = None,
    ) -> Float[Array, "batch columns"]:
        return slope


class Errors(AbstractEncoding):
    r"""Standardized errors of the row's sites, as $\operatorname{arsinh} e$.

    $e = (v - E[v\mid\mathrm{parents}]) / \mathrm{sd}[v\mid\mathrm{parents}]$ with the latents and
    globals at the middle of their factors: for observed sites the reconstruction error, v the data
    (of a category one for what came and zero for the others); for latent sites that of the prior,
    v the latent itself. arsinh is e near zero and grows like its logarithm. Where nothing stands
    beside the errors no slope is taken, so that a step costs one run of the model.

    Attributes:
        beside: an encoding of the slope that the network reads too; None for none.

    Raises:
        ArgumentError: something other than an encoding of slopes beside; at the fit, a model that
            is not of NumPyro or whose rows do not stand alone, or a site without mean and variance.

    References:
        Marino, Yue & Mandt, *Iterative amortized inference* (2018), §4.1 and appendix A.
    """

    beside: AbstractSlopeEncoding | None = None

    def __check_init__(self) -> None:
        if self.beside is not None:
            kind = AbstractSlopeEncoding
            require_kind("Errors beside", self.beside, kind, "amortis.LogSign()")

    @property
    def reads_slopes(self) -> bool:
        return self.beside is not None

    @property
    def reads_errors(self) -> bool:
        return True

    def columns(self, raw: int, errors: int = 0) -> int:
        return errors + (0 if self.beside is None else self.beside.columns(raw))

    def __call__(
        self,
        slope: Float[Array, "batch raw"],
        errors: Float[Array, "batch errors"] | None = None,
    ) -> Float[Array, "batch columns"]:
        assert errors is not None  # whoever climbs gives what is read
        read = jnp.arcsinh(jnp.where(jnp.isfinite(errors), errors, 0.0))
        if self.beside is None:
            return read
        return jnp.concatenate([read, self.beside(slope)], axis=1)
