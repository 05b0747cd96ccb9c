"""What every inference function offers."""

import dataclasses
from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Float

from amortis._types import Parameters, RandomKey, RowIndex


@dataclasses.dataclass(frozen=True)
class FunctionShape:
    """The sizes a function is made for.

    Attributes:
        rows: number of rows N of the data it is fitted to.
        columns: number of context columns D.
        outputs: number of raw parameters of one local factor.
    """

    rows: int
    columns: int
    outputs: int


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
        context: Float[Array, "batch columns"],
        index: RowIndex | None,
    ) -> Float[Array, "batch outputs"]:
        """Evaluate the function on a batch of rows.

        Args:
            parameters: as made by `init`.
            context: standardized contexts of the batch.
            index: positions of the batch's rows in the data; None for all rows in order.

        Returns:
            Raw parameters of each row's local factor, real numbers.
        """
