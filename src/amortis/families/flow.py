"""`Flow`: a normalizing flow behind a full-rank Gaussian."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._require import require_kind
from amortis.families.flow_layers import AbstractLayers, CouplingLayers
from amortis.families.flow_stack import stack_of
from amortis.families.flow_transformers import Affine
from amortis.families.full_rank import FullRank, full_rank_parts, full_rank_raw
from amortis.families.interface import AbstractAffineFamily

_LONGEST_STEP = 2.0
_MOMENT_DRAWS = 1024
_GAUSSIAN = FullRank()


class Flow(AbstractAffineFamily):
    r"""The law of $u = m + L F(\epsilon)$, $\epsilon\sim N(0, I)$, F a stack of FlowJAX layers.

    $\log q(u) = \log N(\epsilon; 0, I) - \log|\det \partial F/\partial\epsilon| - \log\det L$.
    The raw parameters are those of the `FullRank` normal with m and L, and behind them the weights
    of F. Where F is the identity q is that normal, and so every fit starts. In one dimension F is a
    transformer alone. The networks' hidden weights start at random, always the same: `start` takes
    no key, and from the identity two layers alike would stay alike.

    For globals: a flow has thousands of raw parameters.

    Attributes:
        layers: what F is made of: `CouplingLayers(...)` or `AutoregressiveLayers(...)`.

    Raises:
        ArgumentError: the layers are something else.

    References:
        Rezende & Mohamed, *Variational inference with normalizing flows* (2015); Dinh,
        Sohl-Dickstein & Bengio, *Density estimation using Real NVP* (2017); Papamakarios, Pavlakou
        & Murray, *Masked autoregressive flow for density estimation* (2017); Durkan, Bekasov,
        Murray & Papamakarios, *Neural spline flows* (2019).
    """

    layers: AbstractLayers = eqx.field(static=True, default=CouplingLayers(transformer=Affine()))

    def __check_init__(self) -> None:
        require_kind("Flow layers", self.layers, AbstractLayers, "CouplingLayers()")

    @property
    def is_density(self) -> bool:
        return True

    @property
    def is_factorized(self) -> bool:
        return False

    @property
    def is_identified(self) -> bool:
        return False  # hidden units may change places, and last layers do what m and L do

    def raw_size(self, dimension: int) -> int:
        return _GAUSSIAN.raw_size(dimension) + self.layers.size(dimension)

    def start(self, dimension: int, log_sd: float) -> Float[Array, " raw"]:
        return self.started_from(_GAUSSIAN.start(dimension, log_sd))

    def started_from(self, full_rank_raw: Float[Array, " gaussian"]) -> Float[Array, " raw"]:
        """Raw parameters of the flow that is a given full-rank normal: F is the identity.

        Args:
            full_rank_raw: raw parameters of a `FullRank`.

        Raises:
            ArgumentError: no full-rank normal has so many raw parameters.
        """
        size, dimension = full_rank_raw.shape[0], 0
        while _GAUSSIAN.raw_size(dimension) < size:
            dimension += 1
        if _GAUSSIAN.raw_size(dimension) != size:
            raise ArgumentError(
                f"full_rank_raw has {size} numbers; expected d (d + 3) / 2: pass the raw "
                "parameters of a FullRank"
            )
        if dimension == 0:
            return full_rank_raw
        start = stack_of(self.layers, dimension, full_rank_raw.dtype).start
        return jnp.concatenate([full_rank_raw, jax.device_put(start)])

    def sample(self, raw: Float[Array, " raw"], noise: Float[Array, " d"]) -> Float[Array, " d"]:
        return self._forward(raw, noise)[0]

    def draw(
        self, raw: Float[Array, " raw"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        value, log_density = self._forward(raw, noise)
        return value, -log_density

    def standardized(
        self, raw: Float[Array, " raw"], value: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        r"""$L^{-1}(u - m)$, by the affine part alone."""
        return _GAUSSIAN.standardized(self._split(raw, value.shape[0])[0], value)

    def log_density(self, raw: Float[Array, " raw"], value: Float[Array, " d"]) -> Float[Array, ""]:
        dimension = value.shape[0]
        gaussian, weights = self._split(raw, dimension)
        noise, log_det = _GAUSSIAN.standardized(gaussian, value), jnp.zeros((), raw.dtype)
        if dimension > 0:
            stack = stack_of(self.layers, dimension, raw.dtype)
            noise, log_det = stack.inverse(weights, noise)
        return _at_noise(gaussian, noise) + log_det

    def moments(self, raw: Float[Array, " raw"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        """Means and standard deviations of the d coordinates, by a rule of 1024 points.

        There is no closed form. The rule is `numerics.low_discrepancy`, the same at every call; it
        is exact where F is affine.
        """
        gaussian, weights = self._split(raw, self._dimension(raw))
        mean, root = full_rank_parts(gaussian)
        rule = jnp.asarray(_rule(mean.shape[0]), raw.dtype)
        moved = jax.vmap(lambda noise: self._moved(weights, noise)[0])(rule)
        center = jnp.mean(moved, axis=0)
        # Centered before the mean is added, which may be many standard deviations from zero.
        around = (moved - center) @ root.T
        return mean + root @ center, jnp.sqrt(jnp.mean(jnp.square(around), axis=0))

    def coordinates(self, raw: Float[Array, " raw"]) -> Float[Array, " raw"]:
        gaussian, weights = self._split(raw, self._dimension(raw))
        return jnp.concatenate([_GAUSSIAN.coordinates(gaussian), weights])

    def from_coordinates(self, coordinates: Float[Array, " raw"]) -> Float[Array, " raw"]:
        gaussian, weights = self._split(coordinates, self._dimension(coordinates))
        return jnp.concatenate([_GAUSSIAN.from_coordinates(gaussian), weights])

    def natural_step(
        self, raw: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> Float[Array, " raw"]:
        """The affine part's step as of the normal with F the identity; for F the gradient, bounded.

        The Fisher information of the networks' weights has no closed form.
        """
        dimension = self._dimension(raw)
        gaussian, _ = self._split(raw, dimension)
        of_gaussian, of_weights = self._split(gradient, dimension)
        step = _GAUSSIAN.natural_step(gaussian, of_gaussian)
        return jnp.concatenate([step, jnp.clip(of_weights, -_LONGEST_STEP, _LONGEST_STEP)])

    def unsettled(
        self, coordinates: Float[Array, " raw"], gradient: Float[Array, " raw"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        # Moving m moves every draw and scaling s every distance, whatever F is: to first order the
        # slopes of the ELBO in them say what is still to come, as of a normal with this L.
        dimension = self._dimension(coordinates)
        gaussian, _ = self._split(coordinates, dimension)
        return _GAUSSIAN.unsettled(gaussian, self._split(gradient, dimension)[0])

    def gaussian(self, mean: Float[Array, " d"], root: Float[Array, "d d"]) -> Float[Array, " raw"]:
        return self.started_from(full_rank_raw(mean, root))

    def mapped(
        self, raw: Float[Array, " raw"], shift: Float[Array, " d"], root: Float[Array, "d d"]
    ) -> Float[Array, " raw"]:
        gaussian, weights = self._split(raw, shift.shape[0])
        return jnp.concatenate([_GAUSSIAN.mapped(gaussian, shift, root), weights])

    def _forward(
        self, raw: Float[Array, " raw"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        # The value and its log density, in one pass.
        gaussian, weights = self._split(raw, noise.shape[0])
        moved, log_det = self._moved(weights, noise)
        return _GAUSSIAN.sample(gaussian, moved), _at_noise(gaussian, noise) - log_det

    def _moved(
        self, weights: Float[Array, " weights"], noise: Float[Array, " d"]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        if noise.shape[0] == 0:
            return noise, jnp.zeros((), weights.dtype)
        return stack_of(self.layers, noise.shape[0], weights.dtype).forward(weights, noise)

    def _split(
        self, raw: Float[Array, " raw"], dimension: int
    ) -> tuple[Float[Array, " gaussian"], Float[Array, " weights"]]:
        size = _GAUSSIAN.raw_size(dimension)
        return raw[:size], raw[size:]

    def _dimension(self, raw: Float[Array, " raw"]) -> int:
        dimension = 0
        while self.raw_size(dimension) < raw.shape[0]:
            dimension += 1
        return dimension


def _at_noise(gaussian: Float[Array, " gaussian"], noise: Float[Array, " d"]) -> Float[Array, ""]:
    # log N(noise) - log det L: the density of the normal at the value that it makes of the noise.
    zero = jnp.zeros_like(noise)
    log_scale = gaussian[noise.shape[0] : 2 * noise.shape[0]]
    return numerics.log_density(noise, zero, zero) - jnp.sum(log_scale)


@functools.lru_cache(maxsize=8)
def _rule(dimension: int) -> Float[np.ndarray, "draws d"]:
    return numerics.low_discrepancy(_MOMENT_DRAWS, dimension)
