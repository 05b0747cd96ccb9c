"""What a guide needs of a model to let an iterated function climb, without knowing the model."""

from abc import abstractmethod
from typing import Any

import equinox as eqx

from amortis._types import Parameters, RowIndex
from amortis.inference_functions import RowProblem


class AbstractRowProblems(eqx.Module):
    """Gives every batch of rows the problem that a function climbs on."""

    @abstractmethod
    def problem(self, guide: Any, parameters: Parameters, index: RowIndex | None) -> RowProblem:
        """What some rows let a function know of the model.

        Args:
            guide: the factors.
            parameters: of the guide; only the globals' are read.
            index: positions of the rows in the data, or None for all.
        """
