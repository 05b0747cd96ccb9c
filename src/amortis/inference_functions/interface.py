"""What every inference function offers."""

import dataclasses
from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from amortis._types import Parameters, RandomKey, RowIndex
from amortis.inference_functions.context import Parts
from amortis.model import Inputs


@dataclasses.dataclass(frozen=True)
class FunctionShape:
    """The sizes a function is made for.

    Attributes:
        rows: number of rows N of the data it is fitted to.
        columns: number of context columns D.
        outputs: number of raw parameters of one local factor.
        members: number of columns of the rows that belong to groups.
        edges: number of units that lack a part of their context.
        given: dimension of the globals that a factor moves with; the outputs are then the raw
            parameters at their mean, followed by a slope for each of them.
        errors: number of standardized errors of a row, for functions that read them.
    """

    rows: int
    columns: int
    outputs: int
    members: int = 0
    edges: int = 0
    given: int = 0
    errors: int = 0

    @classmethod
    def of(cls, parts: Parts, rows: int, outputs: int, given: int) -> "FunctionShape":
        """The sizes for the parts of N rows; see above."""
        return cls(
            rows=rows,
            columns=parts.rows.shape[1],
            outputs=outputs,
            members=0 if parts.members is None else parts.members.shape[1],
            edges=parts.edges,
            given=given,
        )

    @property
    def at_mean(self) -> int:
        """Number of raw parameters of one local factor with the globals at their mean."""
        return self.outputs // (1 + self.given)


class AbstractInferenceFunction(eqx.Module):
    r"""A map $f_\phi$ from contexts $w_n$ to raw parameters of $q(z_n)$, as a choice without state.

    The object holds only choices (a degree, a width); `init` makes the parameters $\phi$.
    """

    @property
    @abstractmethod
    def owns_rows(self) -> bool:
        """Whether rows have parameters of their own, so that no error averages over rows."""

    @property
    @abstractmethod
    def closed_under_linear_maps(self) -> bool:
        """Whether the same functions can be written in any linear mixture of the context.

        If so the guide hands over decorrelated contexts, in which the coefficients can be found
        independently of each other.
        """

    @property
    def shortens_rows(self) -> bool:
        """Whether rows that are far longer than others are to be shortened before it reads them.

        By default not: what a user's own function reads is standardized and nothing else.
        """
        return False

    @abstractmethod
    def arrange(self, inputs: Inputs) -> Parts:
        """Choose what it reads of a model's inputs, and lay it out by unit; not standardized yet.

        Args:
            inputs: of the model, or new ones of the same columns.

        Returns:
            The parts that will be standardized.

        Raises:
            ArgumentError: the model has no such inputs.
        """

    @abstractmethod
    def context(self, parts: Parts) -> Any:
        """The context that `__call__` takes, from standardized parts."""

    @abstractmethod
    def init(self, key: RandomKey, shape: FunctionShape) -> Parameters:
        """Make starting parameters, with outputs near zero.

        Args:
            key: random key; functions that start deterministically ignore it.
            shape: sizes of the problem.

        Returns:
            A pytree of floating point arrays.

        Raises:
            ArgumentError: the choice does not fit the sizes.
        """

    @abstractmethod
    def __call__(
        self,
        parameters: Parameters,
        context: Any,
        index: RowIndex | None,
    ) -> Float[Array, "batch outputs"]:
        """Evaluate the function on a batch of rows.

        Args:
            parameters: as made by `init`.
            context: of the batch, as made by `context` and `take`.
            index: positions of the batch's rows in the data; None for all rows in order.

        Returns:
            Raw parameters of each row's local factor, real numbers.
        """

    def step_sizes(self, parameters: Parameters) -> Parameters:
        """Relative step sizes of optimisers that move all parameters alike, such as Adam.

        Args:
            parameters: as made by `init`, with or without an axis of restarts in front.

        Returns:
            A factor for each leaf; one, unless the function knows better.
        """
        return jax.tree.map(lambda _: 1.0, parameters)


class AbstractRowFunction(AbstractInferenceFunction):
    r"""A function of a unit's own row alone; its context is a matrix, one row per unit."""

    def arrange(self, inputs: Inputs) -> Parts:
        return Parts(inputs.rows)

    def context(self, parts: Parts) -> Float[Array, "rows columns"]:
        return parts.rows

    @abstractmethod
    def __call__(
        self,
        parameters: Parameters,
        context: Float[Array, "batch columns"],
        index: RowIndex | None,
    ) -> Float[Array, "batch outputs"]:
        """Evaluate the function on a batch of rows; see `AbstractInferenceFunction`."""
