"""How a fit serves data that it has not seen."""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np

from amortis._errors import ArgumentError, DataError
from amortis._require import require_kind
from amortis._types import RandomKey
from amortis.diagnostics.pareto import TRUSTED
from amortis.diagnostics.ratios import ratios_by_row
from amortis.fitting import Estimate, Fit, amortization_gap, separated


@dataclasses.dataclass(frozen=True)
class HeldOut:
    r"""The gap and the bound on held-out data beside those on the fitted data.

    Attributes:
        size: number of held-out data.
        gap: the amortization gap on them, which is the generalization gap, in nats per datum.
        elbo: $E_q[\log p(x_n, z_n\mid\theta) - \log q(z_n)]$ on them, in nats per datum.
        fitted_elbo: the same on the fitted data.
        untrusted: held-out data with k-hat above 0.7.
    """

    size: int
    gap: Estimate
    elbo: Estimate
    fitted_elbo: Estimate
    untrusted: int

    def __str__(self) -> str:
        gap, elbo, fitted = self.gap, self.elbo, self.fitted_elbo
        bound = ""
        if math.isfinite(elbo.mean):
            bound = (
                f"elbo {elbo.mean:.4g} ± {elbo.se:.1g} per datum beside {fitted.mean:.4g} ± "
                f"{fitted.se:.1g} on the fitted; "
            )
        return (
            f"gap {gap.mean:.2g} ± {gap.se:.1g} per datum on {self.size} data; {bound}k-hat above "
            f"{TRUSTED} for {self.untrusted}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return {
            "size": self.size,
            "gap": dataclasses.asdict(self.gap),
            "elbo": dataclasses.asdict(self.elbo),
            "fitted_elbo": dataclasses.asdict(self.fitted_elbo),
            "untrusted": self.untrusted,
        }


def require_held_out(fitted: Fit, held_out: Fit) -> None:
    """Refuse data that are not held out, or that another fit has inferred.

    Raises:
        ArgumentError: not a fit that `infer` made of this one.
        DataError: rows that are among the fitted ones.
    """
    require_kind("held_out", held_out, Fit, "amortis.infer(fitted, x_held_out)")
    if not held_out.held or held_out.variational is not fitted.variational:
        raise ArgumentError(
            "held_out is another fit; expected this fit bound to held-out data: pass "
            "amortis.infer(fitted, x_held_out)"
        )
    seen = _units(fitted)
    if seen is None:
        return
    common = seen & (_units(held_out) or set())
    if common:
        raise DataError(
            f"{len(common)} of {held_out.model.size} held-out rows are among the fitted ones; "
            f"expected rows that the fit has not seen: leave them out of one of the two"
        )


def _units(fitted: Fit) -> set[bytes] | None:
    """What each unit's own row is, bit by bit; None where rows repeat, and so may by chance."""
    model = fitted.model
    rows = np.ascontiguousarray(np.asarray(model.inputs, np.float32))
    units = [row.tobytes() for row in rows]
    if model.members is not None:
        values = np.asarray(model.members.values, np.float32)
        owner = np.asarray(model.members.groups.owner)
        order = np.lexsort([*values.T[::-1], owner])
        starts = np.searchsorted(owner[order], np.arange(len(units) + 1))
        each = [values[order[a:b]].tobytes() for a, b in itertools.pairwise(starts)]
        units = [own + rest for own, rest in zip(units, each, strict=True)]
    found = set(units)
    return found if len(found) == len(units) and b"" not in found else None


def held_out_by(
    fitted: Fit,
    held_out: Fit,
    fitted_elbos: np.ndarray,
    *,
    key: RandomKey,
    draws: int,
) -> HeldOut:
    """Measure the gap and the bound on held-out data.

    Args:
        fitted: the fit.
        held_out: the same fit bound to held-out data.
        fitted_elbos: of each fitted datum, in nats.
        key: random key.
        draws: as in `diagnose`.

    Raises:
        ArgumentError: units of the model touch each other.
    """
    model = separated(held_out)
    if model is None:
        raise ArgumentError(
            f"the units of {fitted.model.plate!r} touch each other, so that held-out ones say "
            f"nothing of a function; expected a model that `check` answers with yes"
        )
    gap = amortization_gap(held_out, key=key, draws=draws)
    ratios = ratios_by_row(held_out, model, gap.optimal, key=key)
    return HeldOut(
        size=held_out.model.size,
        gap=gap.per_datum,
        elbo=_mean(ratios.row_elbos),
        fitted_elbo=_mean(fitted_elbos),
        untrusted=int(np.sum(~(ratios.row_k <= TRUSTED))),
    )


def _mean(values: np.ndarray) -> Estimate:
    """Mean over data, and what it would vary by with other data of the same law."""
    se = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Estimate(float(values.mean()), float(se), "nats per datum")
