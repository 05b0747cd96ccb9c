"""`SemiAmortized`: a function trained to be a good start for a few steps of each row's own."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._require import require_count, require_positive
from amortis._types import Parameters, RandomKey, RowIndex, Scalar
from amortis.guide import Guide, Noise
from amortis.model import LatentModel
from amortis.objectives.beside_elbo import AbstractBesideElbo
from amortis.objectives.elbo import elbo_draws
from amortis.objectives.gradients import AbstractGradient
from amortis.objectives.interface import AbstractObjective
from amortis.objectives.loss import NegativeElbo
from amortis.objectives.row_elbos import RowElbos


class SemiAmortized(AbstractObjective):
    r"""The ELBO after `inner_steps` natural-gradient steps of every row's own factor.

    $\lambda_0 = f_\phi(w_n)$, $\lambda_{t+1} = \lambda_t + \eta F(\lambda_t)^{-1}
    \nabla_\lambda \mathcal{L}_n(\lambda_t;\hat\theta)$ with F the Fisher information of the
    factor, and $\sum_n\mathcal{L}_n(\lambda_K)$ is maximised over $\phi$ and $\hat\theta$ with
    gradients through the steps. Natural steps have no scale, so that $\eta$ needs no tuning from
    model to model; they are at most two standard deviations long.

    The fit that comes out has the function itself; `refine` takes the steps, to their end.

    Attributes:
        inner_steps: K, at least one.
        step_size: $\eta$.

    Raises:
        ArgumentError: no steps, or a step size that is not positive.

    References:
        Kim, Wiseman, Miller, Sontag & Rush, *Semi-Amortized Variational Autoencoders* (2018);
        natural gradients in place of their plain ones.
    """

    inner_steps: int = eqx.field(static=True, default=4)
    step_size: float = eqx.field(static=True, default=0.5)

    def __check_init__(self) -> None:
        require_count("SemiAmortized", "inner_steps", self.inner_steps)
        require_positive("SemiAmortized", "step_size", self.step_size)

    @property
    def is_start(self) -> bool:
        return True

    @property
    def draws_stay(self) -> bool:
        return True

    @property
    def ends_at_elbo(self) -> bool:
        return False

    def loss(
        self, model: LatentModel, guide: Guide, gradient: AbstractGradient
    ) -> "SemiAmortizedElbo":
        """The loss of a model and a guide.

        Raises:
            ArgumentError: globals with a density, a factor for each row, or units that touch.
        """
        if guide.global_family.is_density:
            raise ArgumentError(
                f"objective is SemiAmortized(), but globals_ is "
                f"{type(guide.global_family).__name__}(); expected point estimates: pass "
                f"globals_=amortis.Point()"
            )
        if guide.inference.owns_rows:
            raise ArgumentError(
                f"objective is SemiAmortized(), but {type(guide.inference).__name__}() has a "
                f"factor for each row; expected an inference function, such as amortis.MLP()"
            )
        if not model.separable:
            raise ArgumentError(
                f"objective is SemiAmortized(), but the units of {model.plate!r} cannot be "
                f"evaluated apart; expected a model whose rows can: use amortis.refine(fitted)"
            )
        return SemiAmortizedElbo(NegativeElbo(model, guide, gradient), self)


class SemiAmortizedElbo(AbstractBesideElbo):
    """Minus the ELBO per datum after the inner steps; see `NegativeElbo` for the protocol.

    Attributes:
        elbo: the loss without them.
        choice: how many, and how long.
    """

    elbo: NegativeElbo
    choice: SemiAmortized

    def fixed_noise(self, key: RandomKey, draws: int) -> Noise:
        """Noise that stays."""
        return self.elbo.fixed_noise(key, draws)

    def fresh_noise(self, key: RandomKey, draws: int, rows: int) -> Noise:
        """Independent noise."""
        return self.elbo.fresh_noise(key, draws, rows)

    def value(self, parameters: Parameters, noise: Noise, index: RowIndex | None) -> Scalar:
        """Minus the ELBO in nats per datum, after the inner steps."""
        raw = self._stepped(parameters, index)
        gradient = self.elbo.gradient
        draws = elbo_draws(self.model, self.guide, gradient, parameters, noise, index, raw=raw)
        return -jnp.vdot(jnp.asarray(noise.weight), draws) / self.size

    def shared(self, parameters: Parameters) -> Parameters:
        """The globals' parameters, and the raw parameters of every row's factor after the steps."""
        return {"globals": parameters["globals"], "raw": self._stepped(parameters, None)[None]}

    def value_of(self, shared: Parameters, noise: Noise) -> Scalar:
        """The same as `value` for all rows, of what `shared` has made of the parameters."""
        return self.elbo.value_of(shared, noise)

    def _stepped(self, parameters: Parameters, index: RowIndex | None) -> Float[Array, "batch raw"]:
        """The rows' factors after the inner steps, on a rule that all rows share."""
        guide = self.guide
        factors, elbos = guide.factors(), RowElbos(self.model)

        def step(raw: Float[Array, "batch raw"], _: None) -> tuple[Float[Array, "batch raw"], None]:
            slope = elbos(factors, parameters, raw, index)[1]
            move = jax.vmap(guide.local_family.natural_step)(raw, slope)
            return raw + self.choice.step_size * move, None

        start = guide.fitted_raw(parameters, index)
        return jax.lax.scan(step, start, None, length=self.choice.inner_steps)[0]
