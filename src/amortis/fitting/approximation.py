"""What finds q of the globals in a way of its own, instead of maximising the ELBO."""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._types import RandomKey
from amortis.families import AbstractFamily
from amortis.guide import SiteLayout
from amortis.model import LatentModel
from amortis.optimise import Status

LogDensity = Callable[[Float[Array, " d"]], Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class Found:
    """What an approximation found.

    Attributes:
        family: the family of q.
        raw: its raw parameters.
        status: how the search ended.
        iterations: evaluations of the log density, roughly.
        record: what else there is to know, such as paths; None if nothing.
    """

    family: AbstractFamily
    raw: Float[Array, " raw"]
    status: Status
    iterations: int
    record: Any = None


class AbstractApproximation(eqx.Module):
    """A way to a Gaussian, or several, for all latents of a model without locals."""

    @abstractmethod
    def find(self, log_density: LogDensity, dimension: int, *, key: RandomKey) -> Found:
        """Find q.

        Args:
            log_density: of unconstrained vectors, in nats up to a constant.
            dimension: length of the vectors.
            key: random key.
        """


def log_density_of(model: LatentModel, approximation: AbstractApproximation) -> LogDensity:
    """The log joint of a model without locals as a function of one vector.

    Args:
        model: the model.
        approximation: what asks for it.

    Raises:
        ArgumentError: the model has local latents.
    """
    if model.locals_:
        raise ArgumentError(
            f"globals_ is {type(approximation).__name__}(...), which approximates all latents "
            f"together, but {', '.join(model.locals_)} are local; expected a model of globals: "
            f"bind it with local=amortis.Locals.NONE, or choose a family such as FullRank()"
        )
    return LogJoint(model, SiteLayout(model.globals_))


class LogJoint(eqx.Module):
    """The log joint of globals alone; a pytree, so that what is compiled serves all data.

    Attributes:
        model: the model.
        layout: where each site lies in the vector.
    """

    model: LatentModel
    layout: SiteLayout

    def __call__(self, vector: Float[Array, " d"]) -> Float[Array, ""]:
        """In nats, on the unconstrained scale."""
        model = self.model
        return model.log_joint(self.layout.split(vector), model.zeros(model.size))


class Negated(eqx.Module):
    """Minus a function, as something to minimise.

    Attributes:
        function: the function.
    """

    function: LogDensity

    def __call__(self, vector: Float[Array, " d"]) -> Float[Array, ""]:
        """Minus its value."""
        return -self.function(vector)


@eqx.filter_jit
def value_at(function: LogDensity, vector: Float[Array, " d"]) -> Float[Array, ""]:
    """A function's value, compiled once for all functions of a kind."""
    return function(vector)


@eqx.filter_jit
def slopes_at(function: LogDensity, vectors: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """A function's gradients at several vectors, compiled once for all functions of a kind."""
    return jax.vmap(jax.grad(function))(vectors)
