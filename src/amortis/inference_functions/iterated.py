"""What functions have in common that come to a factor by steps along its slope."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from amortis._errors import ArgumentError
from amortis._require import require_count, require_kind
from amortis._types import Parameters, RowIndex
from amortis.inference_functions.interface import AbstractInferenceFunction, AbstractRowFunction
from amortis.inference_functions.step_weights import AbstractStepWeights

RowElbos = Callable[
    [Float[Array, "batch raw"]], tuple[Float[Array, " batch"], Float[Array, "batch raw"]]
]
"""Each row's own ELBO, in nats, at its raw parameters, and its slope in them."""


class RowProblem(NamedTuple):
    """What a batch of rows lets a function know of its model.

    Attributes:
        elbos: each row's own ELBO and its slope.
        errors: standardized errors of each row's sites at the middle of its factor, shape (batch,
            columns), from raw parameters.
        prior: raw parameters of the factor that is each row's prior.
    """

    elbos: RowElbos
    errors: Callable[[Float[Array, "batch raw"]], Float[Array, "batch columns"]]
    prior: Callable[[], Float[Array, "batch raw"]]


LONGEST = 1e6
"""Length at which slopes are cut, in nats per raw parameter."""


class Climb(NamedTuple):
    """What an iterated function did with a batch of rows.

    Attributes:
        raw: raw parameters after every step.
        cut: of every row, whether the slope that a step looked at was cut or no number.
    """

    raw: Float[Array, "iterates batch raw"]
    cut: Bool[Array, "steps batch"]


class StepGradients(NamedTuple):
    """Which iterates train what.

    Attributes:
        function: the iterates whose ELBOs train the function.
        model: the iterates whose ELBOs train the globals.
        through: whether gradients pass through the steps, their slopes included; if so those of
            the last iterate's ELBO in everything are taken.
    """

    function: AbstractStepWeights
    model: AbstractStepWeights
    through: bool


class AbstractIterated(AbstractInferenceFunction):
    r"""A function of a row's context and of the slope of its own ELBO at every step.

    $\lambda_{t+1} = F(\lambda_t, \nabla_\lambda\mathcal{L}_n(\lambda_t;\theta), w_n)$ for t from
    zero to `steps`. The slope comes as a callable: no such function knows a model.

    Attributes:
        steps: T.
        draws: points of the rule over which the ELBOs that are climbed are expectations.
    """

    steps: eqx.AbstractVar[int]
    draws: eqx.AbstractVar[int]

    @property
    @abstractmethod
    def reads_errors(self) -> bool:
        """Whether it looks at the errors of a row's sites."""

    @property
    @abstractmethod
    def starts_at_prior(self) -> bool:
        """Whether its first iterate is each row's prior."""

    @property
    @abstractmethod
    def gradients(self) -> StepGradients:
        """Which iterates train what."""

    @abstractmethod
    def climb(
        self,
        parameters: Parameters,
        context: Any,
        index: RowIndex | None,
        offset: Float[Array, " raw"],
        problem: RowProblem,
    ) -> Climb:
        r"""The iterates $\lambda_1, \dots, \lambda_T$, after $\lambda_0$ where that is learned too.

        Args:
            parameters: as made by `init`.
            context: of the batch.
            index: positions of the batch's rows in the data; None for all.
            offset: raw parameters at which factors start.
            problem: what the rows let it know of the model.
        """

    def __call__(
        self, parameters: Parameters, context: Any, index: RowIndex | None
    ) -> Float[Array, "batch outputs"]:
        """Refused: without the model there is no slope.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError(
            f"{type(self).__name__}(...) was asked for factors without a model, whose ELBO it "
            f"climbs; expected a fit bound to data: use amortis.infer(fitted, x_new)"
        )


def bounded(
    value: Float[Array, " batch"], slope: Float[Array, "batch raw"]
) -> tuple[Float[Array, "batch raw"], Bool[Array, " batch"]]:
    """Slopes whose largest component is at most 1e6 nats, row by row, zero where no numbers.

    Args:
        value: each row's ELBO. A slope may be a number where this is none, as that of a logarithm
            beyond zero, and leads nowhere there.
        slope: its slope.

    Returns:
        The slopes, and which of them are not as they came.
    """
    finite = jnp.isfinite(value)[:, None] & jnp.all(jnp.isfinite(slope), axis=1, keepdims=True)
    slope = jnp.where(finite, slope, 0.0)
    # The largest component, which cannot overflow when it is squared.
    largest = jnp.max(jnp.abs(slope), axis=1, keepdims=True, initial=0.0)
    cut = ~finite | (largest > LONGEST)
    return slope * jnp.minimum(1.0, LONGEST / jnp.maximum(largest, 1e-30)), cut[:, 0]


def require_row_function(role: str, given: AbstractRowFunction) -> None:
    """Refuse what is not one function for all rows.

    Raises:
        ArgumentError: it is none, or has parameters of every row's own.
    """
    require_kind(role, given, AbstractRowFunction, "amortis.MLP()")
    if given.owns_rows:
        raise ArgumentError(
            f"{role} is {type(given).__name__}(), which gives every row parameters of its own; "
            f"expected a function of rows, such as amortis.MLP()"
        )


def require_pairs(what: str, draws: int) -> None:
    """Refuse numbers of draws that are not made of pairs.

    Raises:
        ArgumentError: an odd number, or none.
    """
    require_count(what, "draws", draws)
    if draws % 2:
        raise ArgumentError(
            f"{what} draws is {draws}; expected an even number, since draws come in pairs that "
            f"mirror each other: ask for {draws + 1}"
        )
