"""How the entropy enters the ELBO, and with it the variance of its gradient."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from amortis._types import Parameters
from amortis.guide import Guide, Noise


class AbstractGradient(eqx.Module):
    """A gradient estimator: the entropy part of the ELBO for one draw."""

    @abstractmethod
    def entropy(
        self,
        guide: Guide,
        parameters: Parameters,
        raw: Float[Array, "batch raw"],
        noise: Noise,
        theta: Any,
        z: Any,
    ) -> tuple[Float[Array, ""], Float[Array, " batch"]]:
        """Entropy of the globals and of each row, in nats, or an unbiased estimate from one draw.

        Args:
            guide: the guide.
            parameters: its parameters.
            raw: the rows' raw parameters.
            noise: the draw's noise.
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
        noise: Noise,
        theta: Any,
        z: Any,
    ) -> tuple[Float[Array, ""], Float[Array, " batch"]]:
        return guide.entropy(parameters, raw, noise)


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
        noise: Noise,
        theta: Any,
        z: Any,
    ) -> tuple[Float[Array, ""], Float[Array, " batch"]]:
        held = jax.lax.stop_gradient((parameters, raw))
        global_part, local_part = guide.log_density(*held, theta, z)
        return -global_part, -local_part
