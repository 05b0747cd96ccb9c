"""Which iterates count when an iterative inference function is trained."""

from abc import abstractmethod

import equinox as eqx
import numpy as np
from jaxtyping import Float


class AbstractStepWeights(eqx.Module):
    """Weights of the iterates' ELBOs in a gradient; they sum to one."""

    @abstractmethod
    def of(self, steps: int) -> Float[np.ndarray, " steps"]:
        """The weights of so many iterates, the last one last."""


class AllSteps(AbstractStepWeights):
    """Every iterate alike: each step learns to improve on whatever it is given."""

    def of(self, steps: int) -> Float[np.ndarray, " steps"]:
        return np.full(steps, 1.0 / steps)


class FirstStep(AbstractStepWeights):
    """The first iterate alone: what a function gives for a start."""

    def of(self, steps: int) -> Float[np.ndarray, " steps"]:
        weights = np.zeros(steps)
        weights[0] = 1.0
        return weights


class LastStep(AbstractStepWeights):
    """The last iterate alone."""

    def of(self, steps: int) -> Float[np.ndarray, " steps"]:
        weights = np.zeros(steps)
        weights[-1] = 1.0
        return weights
