"""Monotone maps of one coordinate, of which the layers of a flow are made."""

import math
from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amortis._require import require_count, require_positive
from amortis.families.flowjax_import import flowjax_modules

_LEAST_SLOPE = 1e-3
_LARGEST_LOG_SCALE = 2.0
"""Of what one layer multiplies a coordinate with, up or down."""


class AbstractTransformer(eqx.Module):
    """A monotone map of one coordinate, whose parameters a layer's network gives."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of its parameters."""

    @abstractmethod
    def bijection(self) -> Any:
        """FlowJAX's scalar bijection, at the identity; not typed, as FlowJAX may be missing."""


class Affine(AbstractTransformer):
    r"""$x \mapsto a x + b$ with $a > 0$: about four times as fast as a spline, and less able.

    In one dimension the flow then stays a Gaussian.

    References:
        Dinh, Sohl-Dickstein & Bengio, *Density estimation using Real NVP* (2017).
    """

    @property
    def size(self) -> int:
        return 2

    def bijection(self) -> Any:
        flowjax = flowjax_modules()
        slope = flowjax.parameterize(_bounded, jnp.zeros(()))
        return eqx.tree_at(lambda affine: affine.scale, flowjax.bijections.Affine(), slope)


class Spline(AbstractTransformer):
    r"""A monotone rational-quadratic spline on $[-b, b]$, the identity outside, then $a x + b'$.

    The affine map behind the spline lets tails move and widen with what the layer is conditioned
    on; without it the spline maps its interval onto itself, and curved tails have to fit in there.

    Attributes:
        knots: inner knots K, at least one; the map has 3 K + 4 parameters.
        reach: b, in standard deviations of the noise.

    Raises:
        ArgumentError: no knot, or a reach that is not positive.

    References:
        Durkan, Bekasov, Murray & Papamakarios, *Neural spline flows* (2019).
    """

    knots: int = eqx.field(static=True, default=5)
    reach: float = eqx.field(static=True, default=4.0)

    def __check_init__(self) -> None:
        require_count("Spline", "knots", self.knots)
        require_positive("Spline", "reach", self.reach)

    @property
    def size(self) -> int:
        return 3 * self.knots + 2 + Affine().size

    def bijection(self) -> Any:
        flowjax = flowjax_modules()
        spline = flowjax.bijections.RationalQuadraticSpline(
            knots=self.knots, interval=float(self.reach), min_derivative=_LEAST_SLOPE
        )
        # FlowJAX leaves the slopes at both ends free, so that the density would jump where the
        # identity begins; with slope one there it is continuous, as in the paper.
        slopes = flowjax.parameterize(_slopes, _slopes_of_one(self.knots))
        spline = eqx.tree_at(lambda s: s.derivatives, spline, slopes)
        return flowjax.bijections.Chain([spline, Affine().bijection()])


def _bounded(free: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    # Networks may say anything far out: without a bound a few layers multiply to an overflow.
    return jnp.exp(_LARGEST_LOG_SCALE * jnp.tanh(free / _LARGEST_LOG_SCALE))


def _slopes_of_one(*shape: int) -> Float[Array, "*shape"]:
    free = np.full(shape, math.log(math.expm1(1.0 - _LEAST_SLOPE)))
    return jax.device_put(free.astype(jnp.result_type(float)))  # nothing to compile


def _slope(free: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    return jax.nn.softplus(free) + _LEAST_SLOPE


def _slopes(free: Float[Array, "*batch knots"]) -> Float[Array, "*batch ends"]:
    end = jnp.ones((*free.shape[:-1], 1), free.dtype)
    return jnp.concatenate([end, _slope(free), end], axis=-1)
