"""How far draws are from the reference, in its sds."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from .read import Posterior


@dataclasses.dataclass(frozen=True)
class Errors:
    """Errors by parameter, in the reference's order; the three summaries are over parameters.

    Attributes:
        mean: (mean - reference mean) / reference sd, shape (parameters,).
        sd: sd / reference sd, shape (parameters,).
    """

    mean: np.ndarray
    sd: np.ndarray

    @property
    def median_mean(self) -> float:
        """Median of the absolute errors of the means, in sds."""
        return float(np.median(np.abs(self.mean)))

    @property
    def worst_mean(self) -> float:
        """Largest absolute error of a mean, in sds."""
        return float(np.max(np.abs(self.mean)))

    @property
    def median_sd(self) -> float:
        """Median ratio of the sds."""
        return float(np.median(self.sd))


def errors(posterior: Posterior, draws: Mapping[str, np.ndarray]) -> Errors:
    """Errors of the means and sds of draws by site, each of shape (draws, ...)."""
    columns = np.stack([column(draws, name) for name in posterior.parameters], axis=-1)
    return Errors(
        (columns.mean(0) - posterior.mean) / posterior.sd, columns.std(0, ddof=1) / posterior.sd
    )


def column(draws: Mapping[str, np.ndarray], parameter: str) -> np.ndarray:
    """Draws of one scalar; `beta[1]` is the first of site `beta`, `z[1,2]` in a matrix."""
    found = re.fullmatch(r"(\w+)(?:\[([\d,]+)\])?", parameter)
    if found is None or found[1] not in draws:
        raise KeyError(f"{parameter!r} is not in draws of {', '.join(draws)}")
    place = tuple(int(index) - 1 for index in found[2].split(",")) if found[2] else ()
    values = np.asarray(draws[found[1]], float)[:, *place]
    if values.ndim != 1:
        raise KeyError(f"{parameter!r} names {values.shape[1:]} values; expected one")
    return values
