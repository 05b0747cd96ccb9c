"""`AnnealedKL`: the ELBO, begun with the divergence from the prior counted less."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from amortis._errors import ArgumentError
from amortis._require import require_count, require_positive, shown
from amortis._types import Parameters, RandomKey, RowIndex, Scalar
from amortis.guide import Guide, Noise
from amortis.model import LatentModel
from amortis.objectives.beside_elbo import AbstractBesideElbo
from amortis.objectives.elbo import elbo_draws
from amortis.objectives.gradients import AbstractGradient
from amortis.objectives.interface import AbstractObjective
from amortis.objectives.local_priors import require_local_priors
from amortis.objectives.loss import NegativeElbo
from amortis.optimise import AbstractMethod, warmed_up

_STEPS_AT_A_WEIGHT = 20


class AnnealedKL(AbstractObjective):
    r"""$\mathcal{L}_w = E_q[\log p(x\mid z, \theta)] - w\,KL(q(z)\,\|\,p(z\mid\theta))$, $w\to1$.

    The weight of the locals' divergence rises from `first_weight` to one over the first `steps`
    steps, by a little every twenty; what follows is the fit that there would have been, of the
    plain ELBO by whatever method, but from where these steps have led. So the fit is one of the
    ELBO, and says so: no weight is left in it. While the divergence costs little, the locals come
    to carry what they know of the data, and a decoder that could do without them learns to read
    them: with the full cost from the start it may never, which is called posterior collapse.

    Attributes:
        steps: of Adam, while the weight rises.
        first_weight: that it rises from, in [0, 1).
        rate: learning rate of these steps, where the method has none of its own.

    Raises:
        ArgumentError: no steps, a weight outside of its range, a rate that is not positive; for
            the model, that it does not tell the locals' prior apart.

    References:
        Bowman et al., *Generating sentences from a continuous space* (2016); Sønderby et al.,
        *Ladder variational autoencoders* (2016).
    """

    steps: int = eqx.field(static=True, default=1000)
    first_weight: float = eqx.field(static=True, default=0.0)
    rate: float = eqx.field(static=True, default=0.01)

    def __check_init__(self) -> None:
        require_count("AnnealedKL", "steps", self.steps)
        require_positive("AnnealedKL", "rate", self.rate)
        if isinstance(self.first_weight, bool) or not 0.0 <= float(self.first_weight) < 1.0:
            raise ArgumentError(
                f"AnnealedKL first_weight is {shown(self.first_weight)}; expected a number from 0 "
                f"to below 1: at 1 there is nothing to anneal, leave the objective out"
            )

    @property
    def is_start(self) -> bool:
        return False

    @property
    def draws_stay(self) -> bool:
        return True

    @property
    def ends_at_elbo(self) -> bool:
        return True

    def loss(self, model: LatentModel, guide: Guide, gradient: AbstractGradient) -> NegativeElbo:
        """The plain loss: what the weights lead to.

        Raises:
            ArgumentError: the model does not tell the locals' prior apart, or the function is
                trained on its own steps.
        """
        require_local_priors("AnnealedKL(...)", model, guide)
        return NegativeElbo(model, guide, gradient)

    def weights(self) -> list[float]:
        """The weights, each for as many steps; one itself is that of the fit."""
        count = max(math.ceil(self.steps / _STEPS_AT_A_WEIGHT), 1)
        return [self.first_weight + (1.0 - self.first_weight) * i / count for i in range(count)]

    def warmed(
        self, method: AbstractMethod, loss: NegativeElbo, starts: Parameters, key: RandomKey
    ) -> Parameters:
        """Starts of the fit, after the steps with rising weights.

        Args:
            method: of the fit.
            loss: of the fit.
            starts: with a leading axis of restarts.
            key: random key.
        """
        dtype = jnp.result_type(float)
        losses = [WeightedElbo(loss, jnp.asarray(w, dtype)) for w in self.weights()]
        each = -(-self.steps // len(losses))
        return warmed_up(method, losses, starts, key=key, steps=each, rate=self.rate)


class WeightedElbo(AbstractBesideElbo):
    """Minus the ELBO per datum with a weight on the locals' divergence; see `NegativeElbo`.

    Attributes:
        elbo: the loss of weight one.
        weight: of the divergence.
    """

    elbo: NegativeElbo
    weight: Scalar

    def fixed_noise(self, key: RandomKey, draws: int) -> Noise:
        """Noise that stays."""
        return self.elbo.fixed_noise(key, draws)

    def fresh_noise(self, key: RandomKey, draws: int, rows: int) -> Noise:
        """Independent noise."""
        return self.elbo.fresh_noise(key, draws, rows)

    def value(self, parameters: Parameters, noise: Noise, index: RowIndex | None) -> Scalar:
        """Minus the weighted bound in nats per datum."""
        raw = self.elbo.guide.fitted_raw(parameters, index)
        return self._of(parameters, noise, index, raw)

    def shared(self, parameters: Parameters) -> Parameters:
        """The globals' parameters, and the raw parameters of every row's factor."""
        return self.elbo.shared(parameters)

    def value_of(self, shared: Parameters, noise: Noise) -> Scalar:
        """The same as `value` for all rows, of what `shared` has made of the parameters."""
        return self._of(shared, noise, None, shared["raw"][-1])

    def _of(
        self, parameters: Parameters, noise: Noise, index: RowIndex | None, raw: Array
    ) -> Scalar:
        elbo = self.elbo
        parts = (elbo.model, elbo.guide, elbo.gradient, parameters, noise, index)
        draws = elbo_draws(*parts, raw=raw, kl_weight=self.weight)
        return -jnp.vdot(jnp.asarray(noise.weight), draws) / self.size
