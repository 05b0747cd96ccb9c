"""`GradientAscent`: variational EM, with every row's factor climbed to from the same start."""

from abc import abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from amortis._errors import ArgumentError
from amortis._require import require_count, require_kind, require_positive
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.context import Parts
from amortis.inference_functions.interface import AbstractRowFunction, FunctionShape
from amortis.inference_functions.iterated import (
    AbstractIterated,
    Climb,
    RowElbos,
    RowProblem,
    StepGradients,
    bounded,
    require_pairs,
    require_row_function,
)
from amortis.inference_functions.starts import FromPrior, first_iterate
from amortis.inference_functions.step_weights import FirstStep, LastStep
from amortis.model import Inputs
from amortis.optimise import lbfgs_init, lbfgs_step

_TINY = 1e-8


class AbstractAscentRule(eqx.Module):
    """How steps are made of slopes; all rows step apart, with one rule."""

    @abstractmethod
    def climb(self, start: Float[Array, "batch raw"], elbos: RowElbos, steps: int) -> Climb:
        """The iterates after the start.

        Args:
            start: where each row starts.
            elbos: each row's ELBO and its slope.
            steps: number of them.
        """


class MomentumSteps(AbstractAscentRule):
    r"""$v_{t+1} = \mu v_t + \nabla\mathcal{L}_n$, $\lambda_{t+1} = \lambda_t + \eta v_{t+1}$.

    Attributes:
        rate: $\eta$, in raw parameters per nat.
        decay: $\mu$ in [0, 1); zero is plain gradient ascent.

    Raises:
        ArgumentError: a rate that is not positive, or a decay outside [0, 1).
    """

    rate: float = eqx.field(static=True, default=1e-2)
    decay: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        require_positive("MomentumSteps", "rate", self.rate)
        _require_share("MomentumSteps", "decay", self.decay)

    def climb(self, start: Float[Array, "batch raw"], elbos: RowElbos, steps: int) -> Climb:
        def step(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Climb]:
            raw, speed = carry
            slope, cut = bounded(*elbos(raw))
            speed = self.decay * speed + slope
            raw = raw + self.rate * speed
            return (raw, speed), Climb(raw, cut)

        return jax.lax.scan(step, (start, jnp.zeros_like(start)), None, length=steps)[1]


class AdamSteps(AbstractAscentRule):
    r"""Steps of the slopes' running mean over the root of their running mean square.

    $\lambda_{t+1} = \lambda_t + \eta\,\hat m_t / (\sqrt{\hat v_t} + 10^{-8})$ with
    $m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t$, $v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2$, and
    $\hat m_t = m_t / (1-\beta_1^t)$, $\hat v_t = v_t / (1-\beta_2^t)$.

    Attributes:
        rate: $\eta$, the length of steps while slopes agree.
        decay: $\beta_1$ in [0, 1).
        square_decay: $\beta_2$ in [0, 1).

    Raises:
        ArgumentError: a rate that is not positive, or a decay outside [0, 1).

    References:
        Kingma & Ba, *Adam: a method for stochastic optimization* (2015).
    """

    rate: float = eqx.field(static=True, default=1e-1)
    decay: float = eqx.field(static=True, default=0.9)
    square_decay: float = eqx.field(static=True, default=0.999)

    def __check_init__(self) -> None:
        require_positive("AdamSteps", "rate", self.rate)
        _require_share("AdamSteps", "decay", self.decay)
        _require_share("AdamSteps", "square_decay", self.square_decay)

    def climb(self, start: Float[Array, "batch raw"], elbos: RowElbos, steps: int) -> Climb:
        def step(carry: _Running, count: Int[Array, ""]) -> tuple["_Running", Climb]:
            slope, cut = bounded(*elbos(carry.raw))
            mean = self.decay * carry.mean + (1.0 - self.decay) * slope
            square = self.square_decay * carry.square
            square = square + (1.0 - self.square_decay) * jnp.square(slope)
            passed = count.astype(slope.dtype)
            unbiased = mean / (1.0 - self.decay**passed)
            root = jnp.sqrt(square / (1.0 - self.square_decay**passed))
            raw = carry.raw + self.rate * unbiased / (root + _TINY)
            return _Running(raw, mean, square), Climb(raw, cut)

        zero = jnp.zeros_like(start)
        return jax.lax.scan(step, _Running(start, zero, zero), jnp.arange(1, steps + 1))[1]


class _Running(NamedTuple):
    raw: Float[Array, "batch raw"]
    mean: Float[Array, "batch raw"]
    square: Float[Array, "batch raw"]


class LBFGSSteps(AbstractAscentRule):
    """L-BFGS for every row: one value and slope a step, and no step that loses.

    Attributes:
        memory: pairs of differences that each row remembers, at least one.

    Raises:
        ArgumentError: a memory below one.

    References:
        Nocedal & Wright, *Numerical optimization* (2006), §7.2.
    """

    memory: int = eqx.field(static=True, default=10)

    def __check_init__(self) -> None:
        require_count("LBFGSSteps", "memory", self.memory)

    def climb(self, start: Float[Array, "batch raw"], elbos: RowElbos, steps: int) -> Climb:
        def step(state: Any, _: None) -> tuple[Any, Climb]:
            tried = jax.vmap(_tried)(state)
            values, slopes = elbos(tried)
            # A trial that is no number is refused like any that loses: nothing is made of it.
            stuck = ~(jnp.isfinite(values) & jnp.all(jnp.isfinite(slopes), axis=1))
            # Every row has been evaluated at its trial point; the state machines take it from here.
            after = jax.vmap(lambda s, v, g: lbfgs_step(s, lambda _: (-v, -g)))(
                state, values, slopes
            )
            return after, Climb(after.point, stuck)

        begin = jax.vmap(lambda point: lbfgs_init(point, self.memory))(start)
        # The first evaluation is of the start itself: without a slope there the row cannot move.
        raw, stuck = jax.lax.scan(step, begin, None, length=steps + 1)[1]
        return Climb(raw[1:], jnp.broadcast_to(stuck[0], (steps, start.shape[0])))


def _tried(state: Any) -> Float[Array, " raw"]:
    return state.point + state.length * state.direction


def _require_share(what: str, name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise ArgumentError(f"{what} {name} is {value}; expected a number in [0, 1)")


class GradientAscent(AbstractIterated):
    r"""Every row's factor by steps along the slope of its own ELBO, from a common start.

    The classical baseline, variational EM: nothing is learned from row to row, and each row costs
    as many evaluations as there are steps, whenever it is looked at. The globals' gradient is that
    at the last iterate, with the iterates held.

    Attributes:
        rule: `MomentumSteps(…)`, which without decay is plain gradient ascent, `AdamSteps(…)` or
            `LBFGSSteps()`.
        steps: number of steps, at least one.
        start: `FromPrior()`, or None for the factor that the guide starts at; or a function of
            rows such as `MLP()`, which learns to give good starts: semi-amortized inference.
        through: whether gradients pass through the steps, so that such a function is trained by
            what the steps make of its starts; else by the ELBOs of the starts themselves.
        draws: points of the rule over which the ELBOs that are climbed are expectations.

    Raises:
        ArgumentError: no steps, or a start that is not a function of rows.

    References:
        Neal & Hinton, *A view of the EM algorithm that justifies incremental, sparse, and other
        variants* (1998); Kim, Wiseman, Miller, Sontag & Rush, *Semi-Amortized Variational
        Autoencoders* (2018).
    """

    rule: AbstractAscentRule = eqx.field(default_factory=AdamSteps)
    steps: int = eqx.field(static=True, default=50)
    start: AbstractRowFunction | FromPrior | None = None
    through: bool = eqx.field(static=True, default=False)
    draws: int = eqx.field(static=True, default=32)

    def __check_init__(self) -> None:
        require_kind("GradientAscent rule", self.rule, AbstractAscentRule, "amortis.AdamSteps()")
        require_count("GradientAscent", "steps", self.steps)
        require_pairs("GradientAscent", self.draws)
        if self.start is not None and not isinstance(self.start, FromPrior):
            require_row_function("GradientAscent start", self.start)

    @property
    def owns_rows(self) -> bool:
        return False

    @property
    def closed_under_linear_maps(self) -> bool:
        return False

    @property
    def shortens_rows(self) -> bool:
        return isinstance(self.start, AbstractRowFunction) and self.start.shortens_rows

    @property
    def reads_errors(self) -> bool:
        return False

    @property
    def starts_at_prior(self) -> bool:
        return isinstance(self.start, FromPrior)

    @property
    def gradients(self) -> StepGradients:
        learned = isinstance(self.start, AbstractRowFunction)
        return StepGradients(FirstStep() if learned else LastStep(), LastStep(), self.through)

    def arrange(self, inputs: Inputs) -> Parts:
        if isinstance(self.start, AbstractRowFunction):
            return self.start.arrange(inputs)
        return Parts(inputs.rows[:, :0])

    def context(self, parts: Parts) -> Float[Array, "rows columns"]:
        return parts.rows

    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        if isinstance(self.start, AbstractRowFunction):
            return {"start": self.start.init(key, shape)}
        return {}

    def step_sizes(self, parameters: Parameters) -> Parameters:
        if isinstance(self.start, AbstractRowFunction):
            return {"start": self.start.step_sizes(parameters["start"])}
        return {}

    def climb(
        self,
        parameters: Parameters,
        context: Any,
        index: RowIndex | None,
        offset: Float[Array, " raw"],
        problem: RowProblem,
    ) -> Climb:
        begin = first_iterate(offset, context.shape[0], self.start, problem)
        if not isinstance(self.start, AbstractRowFunction):
            return self.rule.climb(begin, problem.elbos, self.steps)
        begin = begin + self.start(parameters["start"], context, index)
        held = begin if self.through else jax.lax.stop_gradient(begin)
        climbed = self.rule.climb(held, problem.elbos, self.steps)
        return climbed._replace(raw=jnp.concatenate([begin[None], climbed.raw]))
