"""How the entropy enters the ELBO, and with it the variance of its gradient."""

from abc import abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float

from amortis._types import Parameters
from amortis.guide import Guide, Noise


class Drawn(NamedTuple):
    """One draw of the globals.

    Attributes:
        noise: of globals and locals.
        theta: the globals, unconstrained, as a vector.
        entropy: of the globals in nats, in closed form or by this draw.
    """

    noise: Noise
    theta: Float[Array, " d_theta"]
    entropy: Float[Array, ""]


class AbstractGradient(eqx.Module):
    """A gradient estimator: the entropy part of the ELBO for one draw."""

    @abstractmethod
    def entropy(
        self,
        guide: Guide,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        drawn: Drawn,
        theta: Any,
        z: Any,
    ) -> tuple[Float[Array, ""], Float[Array, " batch"]]:
        """Entropy of the globals and of each row, in nats, or an unbiased estimate from one draw.

        Args:
            guide: the guide.
            parameters: its parameters.
            raw: the rows' raw parameters.
            drawn: the draw's noise and globals, with the entropy of the globals.
            theta: the draw's unconstrained globals by site.
            z: the draw's unconstrained locals by site.
        """


class ClosedFormEntropy(AbstractGradient):
    r"""Entropies in closed form, where a family has one: only the log joint is sampled.

    Of a flow, $-\log q$ at the draw with all derivatives, which is unbiased too.
    """

    def entropy(
        self,
        guide: Guide,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        drawn: Drawn,
        theta: Any,
        z: Any,
    ) -> tuple[Float[Array, ""], Float[Array, " batch"]]:
        return drawn.entropy, guide.local_entropy_at(parameters, raw, drawn.theta, drawn.noise)


class StickTheLanding(AbstractGradient):
    r"""$-\log q(\theta, z)$ at the draw, with the parameters of $\log q$ held constant.

    The dropped score term has mean zero; the gradient's variance vanishes where q is exact.

    References:
        Roeder, Wu & Duvenaud, *Sticking the Landing* (2017).
    """

    def entropy(
        self,
        guide: Guide,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        drawn: Drawn,
        theta: Any,
        z: Any,
    ) -> tuple[Float[Array, ""], Float[Array, " batch"]]:
        held = jax.lax.stop_gradient((parameters, raw))
        global_part, local_part = guide.log_density(*held, theta, z)
        return -global_part, -local_part
