"""What was measured, as frozen records that go to JSON."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from amortis.data import replacing
from amortis.experiments.sir.quantities import Summaries

Lines = tuple[tuple[float, ...], ...]
"""Curves, as plain numbers."""


@dataclasses.dataclass(frozen=True)
class FamilyResult:
    """One way to the posterior; NaN is what does not exist or was not measured.

    Attributes:
        name: of the family or method.
        summaries: of the five quantities.
        kl: log evidence, by quadrature, less the ELBO: KL(q‖p) in nats.
        kl_se: its standard error.
        k_hat: Pareto k-hat of the importance weights.
        cold: seconds of a first fit, all compilation included; binding the model is not.
        warm: seconds of a second fit from another key.
        unsolved: of the draws behind the summaries, those for which the solver gave up; they are
            left out.
        draws: number of draws behind the summaries.
        status: how the fit ended.
    """

    name: str
    summaries: Summaries
    kl: float
    kl_se: float
    k_hat: float
    cold: float
    warm: float
    unsolved: int
    draws: int
    status: str


@dataclasses.dataclass(frozen=True)
class SeedResult:
    """A mean-field fit from one seed, beside the optimum by quadrature.

    Attributes:
        seed: the seed.
        mean_error: largest distance of a mean of the logarithms, in the optimum's sds.
        sd_error: largest relative error of an sd of the logarithms.
        kl: KL(q‖p) by quadrature, in nats.
        seconds: of the fit.
        status: how it ended.
    """

    seed: int
    mean_error: float
    sd_error: float
    kl: float
    seconds: float
    status: str


@dataclasses.dataclass(frozen=True)
class NutsResult:
    """A run of NUTS.

    Attributes:
        summaries: of the five quantities.
        mean_errors: standard errors of their means.
        sd_errors: standard errors of their sds, of draws that were normal.
        r_hat: the largest of the latents.
        divergences: transitions that diverged.
        cold: seconds, compilation included.
        unsolved: draws for which the solver gave up.
        draws: all draws of all chains.
    """

    summaries: Summaries
    mean_errors: dict[str, float]
    sd_errors: dict[str, float]
    r_hat: float
    divergences: int
    cold: float
    unsolved: int
    draws: int


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What the figures show.

    Attributes:
        bands: by family, the 5, 50 and 95 % quantiles of replicated counts by day.
        axes: nodes of log γ, log β and log φ⁻¹.
        densities: by family, and of the exact posterior, marginal densities at these nodes.
    """

    bands: dict[str, Lines]
    axes: Lines
    densities: dict[str, Lines]


@dataclasses.dataclass(frozen=True)
class SirResult:
    """All of it.

    Attributes:
        exact: summaries by quadrature.
        evidence: log evidence by quadrature, in nats, total.
        families: one result each.
        nuts: NUTS.
        seeds: mean-field fits.
        drawn: what the figures show.
    """

    exact: Summaries
    evidence: float
    families: tuple[FamilyResult, ...]
    nuts: NutsResult
    seeds: tuple[SeedResult, ...]
    drawn: Drawn

    def family(self, name: str) -> FamilyResult:
        """The result of a family by its name."""
        return next(each for each in self.families if each.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not finite is None."""
        return _plain(dataclasses.asdict(self))


def write_json(result: SirResult, path: Path) -> None:
    """Write a result as JSON.

    Args:
        result: what was measured.
        path: the file.

    Raises:
        ArgumentError: it cannot be written.
    """
    with replacing(path) as stream:
        stream.write(json.dumps(result.to_dict(), indent=1).encode())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
