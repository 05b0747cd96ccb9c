"""What an objective in place of the ELBO offers."""

from abc import abstractmethod
from typing import Any

import equinox as eqx

from amortis.guide import Guide
from amortis.model import LatentModel
from amortis.objectives.gradients import AbstractGradient


class AbstractObjective(eqx.Module):
    """What `fit` maximises in place of the ELBO; a choice without state."""

    @property
    @abstractmethod
    def is_start(self) -> bool:
        """Whether the function's outputs are starts of steps that are still to be taken."""

    @property
    @abstractmethod
    def draws_stay(self) -> bool:
        """Whether it can be maximised on draws that stay."""

    @property
    @abstractmethod
    def ends_at_elbo(self) -> bool:
        """Whether what is maximised in the end is the ELBO itself."""

    @abstractmethod
    def loss(self, model: LatentModel, guide: Guide, gradient: AbstractGradient) -> Any:
        """The loss of a model and a guide, which satisfies the optimisers' protocol.

        Raises:
            ArgumentError: the objective does not fit the model or the guide.
        """
