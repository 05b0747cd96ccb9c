"""Moments of the globals under q, beside what linear response and importance weights say."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from amortis._errors import NotAnOptimumError
from amortis.diagnostics.pareto import TRUSTED
from amortis.diagnostics.weighted import Weighted
from amortis.fitting import Fit, unconstrained_covariance
from amortis.guide import SiteLayout

_UNDERSTATED, _SHIFTED = 1.2, 0.2
"""Ratio of sds from which q counts as too narrow, and shift in sds from which it is elsewhere."""

_FAR = 4.0
"""Ratio from which linear response, where no weights confirm it, is quoted with a doubt."""

_MOST_GLOBALS, _MOST_NUMBERS = 100, 20_000_000
"""Globals, and rows times dimensions times draws, up to which the Hessian is worth its time."""


@dataclasses.dataclass(frozen=True)
class Spread:
    r"""Where the globals are and how uncertain: by q, and by what corrects it.

    A factor that leaves dependence out, between globals or between globals and locals, is too
    narrow, while its means may be right. Linear response tells by how much, to first order, from
    q's own optimum; importance weights tell it without that approximation, where k-hat lets them.

    Attributes:
        names: of the unconstrained coordinates of the globals, such as `b[2]`; with a word where
            a bijection stands between them and the site, such as `tau (unconstrained)`. Parameters
            without a prior, which are point estimates, are not among them.
        means: under q.
        sds: under q.
        responding: sds by linear response, see `Fit.covariance`; NaN where not measured.
        weighted_means: by importance weights; NaN where k-hat says that they cannot be trusted.
        weighted_errors: standard errors of those.
        weighted_sds: likewise.
    """

    names: tuple[str, ...]
    means: Float[np.ndarray, " d"]
    sds: Float[np.ndarray, " d"]
    responding: Float[np.ndarray, " d"]
    weighted_means: Float[np.ndarray, " d"]
    weighted_errors: Float[np.ndarray, " d"]
    weighted_sds: Float[np.ndarray, " d"]

    @property
    def ratios(self) -> Float[np.ndarray, " d"]:
        """How much wider the posterior is than q: the larger of the two corrections."""
        every = np.stack([self.responding / self.sds, self.weighted_sds / self.sds, self.sds * 0])
        return np.nanmax(every, axis=0)

    @property
    def shifts(self) -> Float[np.ndarray, " d"]:
        """Distance of q's means from the weighted ones in sds; zero within two standard errors."""
        apart = np.abs(self.weighted_means - self.means)
        seen = apart > 2.0 * self.weighted_errors  # not where it is unknown
        return np.where(seen, apart / self.weighted_sds, 0.0)

    @property
    def understated(self) -> bool:
        """Whether q is too narrow for some coordinate by more than a fifth."""
        return bool((self.ratios > _UNDERSTATED).any())

    @property
    def overstated(self) -> bool:
        """Whether q is too wide for some coordinate by more than a fifth, as weights say."""
        return bool((self.weighted_sds * _UNDERSTATED < self.sds).any())

    @property
    def misplaced(self) -> bool:
        """Whether some moment of q is off."""
        return self.understated or self.overstated or self.shifted

    @property
    def shifted(self) -> bool:
        """Whether q's mean is off for some coordinate by more than a fifth of an sd."""
        return bool((self.shifts > _SHIFTED).any())

    @property
    def notes(self) -> list[str]:
        """Sentences on the coordinates that q is most wrong about; none if it is not."""
        notes: list[str] = []
        if self.understated:
            listed = _listed(self.ratios, _UNDERSTATED, self._narrow)
            far = bool(
                (self.responding / self.sds)[np.isnan(self.weighted_sds)].max(initial=0) > _FAR
            )
            doubt = (
                "; linear response is of first order, and so much may be too much" if far else ""
            )
            notes.append(f"q understates how uncertain the globals are: {listed}{doubt}")
        if self.overstated:
            listed = _listed(self.sds / self.weighted_sds, _UNDERSTATED, self._narrow)
            notes.append(f"q overstates how uncertain the globals are: {listed}")
        if self.shifted:
            listed = _listed(self.shifts, _SHIFTED, self._elsewhere)
            notes.append(f"q is elsewhere than the posterior: {listed}")
        return notes

    def _narrow(self, j: int) -> str:
        # Weights first: linear response is of first order, and may be far too much.
        found = {"importance weights": self.weighted_sds[j], "linear response": self.responding[j]}
        said = [f"by {how} {sd:.3g}" for how, sd in found.items() if np.isfinite(sd)]
        return f"{self.names[j]} (sd {self.sds[j]:.3g}, {', '.join(said)})"

    def _elsewhere(self, j: int) -> str:
        return (
            f"{self.names[j]} (mean {self.means[j]:.3g}, by importance weights "
            f"{self.weighted_means[j]:.3g})"
        )

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON; what was not measured is None."""
        plain: dict[str, Any] = {"names": list(self.names)}
        for field in dataclasses.fields(self)[1:]:
            values = getattr(self, field.name).tolist()
            plain[field.name] = [v if np.isfinite(v) else None for v in values]
        return plain


def spread_of(fitted: Fit, weighted: Weighted | None, k: float) -> Spread | None:
    """Compare the moments of the globals with what corrects them.

    Args:
        fitted: a fit.
        weighted: moments by importance weights, where they were measured.
        k: k-hat of those weights.

    Returns:
        The comparison; None where there is nothing to compare, as of points, or of globals that
        come from other data.
    """
    guide = fitted.guide
    if not guide.global_family.is_density or fitted.held or not guide.theta.dimension:
        return None
    means, sds = (np.asarray(part, np.float64) for part in fitted.global_moments())
    unknown = np.full(guide.theta.dimension, np.nan)
    found = (unknown, unknown, unknown)
    if weighted is not None and (k <= TRUSTED or weighted.even):
        found = (weighted.means, weighted.errors, weighted.sds)
    there = sds > 0.0  # point estimates beside a density have no spread
    names = tuple(np.array(_names(fitted, means))[there].tolist())
    return Spread(names, *(part[there] for part in (means, sds, _responding(fitted), *found)))


def _names(fitted: Fit, means: Float[np.ndarray, " d"]) -> tuple[str, ...]:
    """Names of the coordinates, with a word where they are not what the user's model draws."""
    model, layout = fitted.model, fitted.guide.theta
    there = layout.split(jnp.asarray(means, jnp.result_type(float)))
    values = model.constrain(there, model.zeros(model.size))
    names: list[str] = []
    for site, shape in layout.shapes.items():
        own = SiteLayout({site: shape}).names
        same = site not in values or (  # parameters without a prior are no latents
            np.shape(values[site]) == shape and np.allclose(values[site], there[site])
        )
        names += own if same else [f"{name} (unconstrained)" for name in own]
    return tuple(names)


def _responding(fitted: Fit) -> Float[np.ndarray, " d"]:
    """Sds by linear response; NaN where the fit is at no optimum of the ELBO, or too large."""
    guide, model = fitted.guide, fitted.model
    unknown = np.full(guide.theta.dimension, np.nan)
    numbers = model.size * max(guide.z.dimension, 1) * fitted.fixed_draws
    raw = guide.global_family.raw_size(guide.theta.dimension)
    small = max(guide.theta.dimension, raw // 4) <= _MOST_GLOBALS and numbers <= _MOST_NUMBERS
    if not (small and fitted.maximises_elbo and guide.global_family.is_identified):
        return unknown
    try:
        return np.sqrt(np.diagonal(unconstrained_covariance(fitted)))
    except NotAnOptimumError:
        return unknown


def _listed(values: Float[np.ndarray, " d"], above: float, shown: Any, most: int = 3) -> str:
    order = [int(j) for j in np.argsort(-values) if values[j] > above]
    more = f" and {len(order) - most} more" if len(order) > most else ""
    return ", ".join(shown(j) for j in order[:most]) + more
