"""`Iterative`: a function that learns to optimise."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._require import require_count, require_kind
from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.context import Parts
from amortis.inference_functions.encodings import AbstractEncoding, LogSign
from amortis.inference_functions.gates import AbstractGate, Highway
from amortis.inference_functions.interface import AbstractRowFunction, FunctionShape
from amortis.inference_functions.iterated import (
    AbstractIterated,
    Climb,
    RowProblem,
    StepGradients,
    bounded,
    require_pairs,
    require_row_function,
)
from amortis.inference_functions.mlp import MLP
from amortis.inference_functions.starts import FromPrior, first_iterate
from amortis.inference_functions.step_weights import AbstractStepWeights, AllSteps, LastStep
from amortis.model import Inputs


class Iterative(AbstractIterated):
    r"""Iterative amortized inference: a network that reads the slope of a row's own ELBO.

    $\lambda_{t+1} = g\odot\lambda_t + (1-g)\odot f_\phi(w_n, \lambda_t, e(\nabla_\lambda
    \mathcal{L}_n(\lambda_t;\theta)))$ with the same $\phi$ at every step, $\mathcal{L}_n$ the ELBO
    of the row's own terms with the globals at the middle of their factor, and e an encoding of the
    slope. Because every step looks at what is still to be gained, more steps can be taken at
    inference than in training; see `with_steps`.

    Of the gradients: with `through=False` slopes and iterates are inputs, so that each step learns
    from its own ELBO; the function's gradient is that of the iterates' mean ELBO
    (`function_gradient=AllSteps()`), the model's that of the last one with the iterates held
    (`model_gradient=LastStep()`), as in the reference. With `through=True` it is the derivative of
    the last iterate's ELBO in everything.

    Attributes:
        network: a function of rows, such as `MLP()`; it gets the context, the iterate and the
            encoded slope side by side.
        steps: T, at least one.
        encoding: e: `LogSign()`, `LayerNormalized()` or `PlainSlope()` of the slope; `Errors()` of
            the standardized errors of the row's sites, which takes no slope at all.
        gate: `Highway()`, `Additive()` or `Replacing()`.
        start: a function of rows that gives $\lambda_0$, which then is one of the iterates that are
            trained; or `FromPrior()`. By default all rows start at the factor that the guide starts
            at, a standard normal unless the density is not finite there.
        reads_context: whether the network reads $w_n$; else it knows the datum by the slope alone.
        function_gradient: the iterates whose ELBOs train the function.
        model_gradient: the iterates whose ELBOs train the globals.
        through: whether gradients pass through the steps.
        draws: points of the rule over which the ELBOs that are climbed are expectations. What a
            step costs is in proportion; large decoders are well served by two.

    Raises:
        ArgumentError: no steps, or a network that is not one of rows; at the fit, a network of
            other sizes.

    References:
        Marino, Yue & Mandt, *Iterative amortized inference* (2018).
    """

    network: AbstractRowFunction = eqx.field(default_factory=lambda: MLP(64))
    steps: int = eqx.field(static=True, default=5)
    encoding: AbstractEncoding = eqx.field(default_factory=LogSign)
    gate: AbstractGate = eqx.field(default_factory=Highway)
    start: AbstractRowFunction | FromPrior | None = None
    reads_context: bool = eqx.field(static=True, default=True)
    function_gradient: AbstractStepWeights = eqx.field(default_factory=AllSteps)
    model_gradient: AbstractStepWeights = eqx.field(default_factory=LastStep)
    through: bool = eqx.field(static=True, default=False)
    draws: int = eqx.field(static=True, default=32)

    def __check_init__(self) -> None:
        require_count("Iterative", "steps", self.steps)
        require_pairs("Iterative", self.draws)
        require_row_function("Iterative network", self.network)
        if self.start is not None and not isinstance(self.start, FromPrior):
            require_row_function("Iterative start", self.start)
        require_kind("Iterative encoding", self.encoding, AbstractEncoding, "amortis.LogSign()")
        require_kind("Iterative gate", self.gate, AbstractGate, "amortis.Highway()")

    @property
    def owns_rows(self) -> bool:
        return False

    @property
    def closed_under_linear_maps(self) -> bool:
        return False

    @property
    def shortens_rows(self) -> bool:
        return self.network.shortens_rows

    @property
    def reads_errors(self) -> bool:
        return self.encoding.reads_errors

    @property
    def starts_at_prior(self) -> bool:
        return isinstance(self.start, FromPrior)

    @property
    def gradients(self) -> StepGradients:
        return StepGradients(self.function_gradient, self.model_gradient, self.through)

    def arrange(self, inputs: Inputs) -> Parts:
        return self.network.arrange(inputs)

    def context(self, parts: Parts) -> Float[Array, "rows columns"]:
        return self.network.context(parts)

    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        raw = shape.outputs
        read = shape.columns if self.reads_context else 0
        columns = read + raw + self.encoding.columns(raw, shape.errors)
        inside = FunctionShape(shape.rows, columns, self.gate.outputs(raw))
        try:
            parameters = {"network": self.network.init(numerics.forked(key, 0), inside)}
        except ArgumentError as error:
            raise ArgumentError(
                f"Iterative network does not fit: it reads {read} context columns, the {raw} raw "
                f"parameters of the factor and {columns - read - raw} columns of "
                f"{type(self.encoding).__name__}(...), and gives {inside.outputs} outputs to "
                f"{type(self.gate).__name__}(); {error}"
            ) from error
        if not isinstance(self.start, AbstractRowFunction):
            return parameters
        begin = FunctionShape(shape.rows, shape.columns, raw)
        return parameters | {"start": self.start.init(numerics.forked(key, 1), begin)}

    def step_sizes(self, parameters: Parameters) -> Parameters:
        sizes = {"network": self.network.step_sizes(parameters["network"])}
        if not isinstance(self.start, AbstractRowFunction):
            return sizes
        return sizes | {"start": self.start.step_sizes(parameters["start"])}

    def climb(
        self,
        parameters: Parameters,
        context: Any,
        index: RowIndex | None,
        offset: Float[Array, " raw"],
        problem: RowProblem,
    ) -> Climb:
        begin = first_iterate(offset, context.shape[0], self.start, problem)
        if isinstance(self.start, AbstractRowFunction):
            begin = begin + self.start(parameters["start"], context, index)
        held = (lambda value: value) if self.through else jax.lax.stop_gradient

        def step(raw: Array, _: None) -> tuple[Array, Climb]:
            raw = held(raw)
            seen, cut = self._seen(raw, problem)
            read = [raw, held(seen)]
            if self.reads_context:
                read = [context, *read]
            said = self.network(parameters["network"], jnp.concatenate(read, axis=1), index)
            _require_fitting(said, self.gate, raw.shape[1])
            moved = self.gate(raw, said, offset)
            return moved, Climb(moved, cut)

        after = jax.lax.scan(step, begin, None, length=self.steps)[1]
        if not isinstance(self.start, AbstractRowFunction):
            return after
        return after._replace(raw=jnp.concatenate([begin[None], after.raw]))

    def _seen(self, raw: Array, problem: RowProblem) -> tuple[Array, Array]:
        """What the network reads beside context and iterate, and the rows whose slope was cut."""
        slope, cut, errors = jnp.zeros_like(raw), jnp.zeros(raw.shape[0], bool), None
        if self.encoding.reads_slopes:
            slope, cut = bounded(*problem.elbos(raw))
        if self.encoding.reads_errors:
            errors = problem.errors(raw)
        return self.encoding(slope, errors), cut


def _require_fitting(said: Array, gate: AbstractGate, raw: int) -> None:
    expected = gate.outputs(raw)
    if said.ndim != 2 or said.shape[1] != expected:
        raise ArgumentError(
            f"Iterative network returned shape {said.shape} for a batch of rows; expected (rows, "
            f"{expected}): {type(gate).__name__}() makes the {raw} raw parameters of a row's "
            f"factor of {expected} outputs"
        )
