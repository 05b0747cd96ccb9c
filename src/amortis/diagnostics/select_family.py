"""`select_family`: fit one family after the other until one can be trusted, and say which."""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

from amortis import numerics
from amortis._errors import ArgumentError, MissingDependencyError, ModelError
from amortis._require import require_key, require_kind
from amortis._types import RandomKey
from amortis.diagnostics.diagnose import diagnose
from amortis.diagnostics.diagnosis import Diagnosis
from amortis.diagnostics.finding import Finding
from amortis.diagnostics.weighted import EVEN
from amortis.families import (
    AbstractFamily,
    Conditional,
    DiagonalNormal,
    Flow,
    FullRank,
    Mixture,
    components_of,
)
from amortis.fitting import AbstractApproximation, Fit, fit
from amortis.model import LatentModel

_ELBO_DRAWS = 1000

_MOST_MIXTURES = 2


@dataclasses.dataclass(frozen=True)
class Factors:
    """A choice of factors, as `fit` takes them.

    Attributes:
        globals_: of the globals, or what finds it.
        locals_: of one row's locals; `fit`'s own choice if left out.
    """

    globals_: AbstractFamily | AbstractApproximation
    locals_: AbstractFamily | None = None

    def __str__(self) -> str:
        named = type(self.globals_).__name__
        if isinstance(self.globals_, Mixture):
            named = f"{named}({self.globals_.components})"
        return named if self.locals_ is None else f"{named}, {type(self.locals_).__name__}"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One choice that was tried.

    Attributes:
        factors: the choice.
        fit: what came out; None if it failed.
        diagnosis: of the fit.
        seconds: of the fit and its diagnosis, compilation included.
        failure: why there is no fit, in one line.
    """

    factors: Factors
    fit: Fit | None
    diagnosis: Diagnosis | None
    seconds: float
    failure: str = ""

    @property
    def elbo(self) -> float:
        """The evidence lower bound in nats, total; minus infinity where there is none."""
        if self.diagnosis is None or not math.isfinite(self.diagnosis.elbo.mean):
            return -math.inf
        return self.diagnosis.elbo.mean

    @property
    def trusted(self) -> bool:
        """Whether `diagnose` found nothing that speaks against it."""
        return self.diagnosis is not None and self.diagnosis.trusted


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which factors to trust.

    All have the same evidence, so that the largest ELBO is the smallest divergence from the
    posterior.

    Attributes:
        candidates: all that were tried, in order.
    """

    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        """The largest ELBO among those to be trusted; among all, if none is."""
        fitted = [c for c in self.candidates if c.fit is not None]
        return max([c for c in fitted if c.trusted] or fitted, key=lambda c: c.elbo)

    @property
    def fit(self) -> Fit:
        """The fit of the best."""
        found = self.best.fit
        assert found is not None  # candidates without a fit are never the best
        return found

    @property
    def trusted(self) -> bool:
        """Whether the best is to be trusted."""
        return self.best.trusted

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return {
            "best": str(self.best.factors),
            "trusted": self.trusted,
            "candidates": [
                {
                    "factors": str(c.factors),
                    "trusted": c.trusted,
                    "seconds": c.seconds,
                    "failure": c.failure or None,
                    "diagnosis": None if c.diagnosis is None else c.diagnosis.to_dict(),
                }
                for c in self.candidates
            ],
        }

    def __str__(self) -> str:
        best = self.best
        head = f"{best.factors}: " + (
            "to be trusted." if best.trusted else "the best of these, but not to be trusted."
        )
        width = max(len(str(c.factors)) for c in self.candidates)
        return "\n".join([head, *(_line(c, width) for c in self.candidates)])


def select_family(
    model: LatentModel,
    *,
    key: RandomKey,
    candidates: Sequence[Factors] | None = None,
    all_of_them: bool = False,
) -> Selection:
    """Fit families from the simplest on, until `diagnose` trusts one whose weights are even.

    Args:
        model: a bound model.
        key: random key.
        candidates: what to try, in this order; by default a mean-field normal, a full-rank one
            (with locals that move with the globals, where there are any), and a flow; where a fit
            misses modes also a mixture, with a component in each. Of a model with `numpyro.param`
            sites, beside which no others can stand, mean-field and, of locals, full-rank normals.
        all_of_them: whether to go on after one can be trusted.

    Returns:
        The selection; `print` shows a table.

    Raises:
        ArgumentError: no candidates, or something else than `Factors`.
        ModelError: no candidate could be fitted.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist, amortis
        >>> def model(x):
        ...     mean = numpyro.sample("mean", dist.Normal(0.0, 10.0))
        ...     sd = numpyro.sample("sd", dist.HalfNormal(5.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         numpyro.sample("x", dist.Normal(mean, sd), obs=x)
        >>> bound = amortis.from_numpyro(model, jax.numpy.linspace(-3.0, 3.0, 50))
        >>> selection = amortis.select_family(bound, key=jax.random.key(0))
        >>> selection.trusted
        True
    """
    require_kind("model", model, LatentModel, "amortis.from_numpyro(model, x)")
    require_key(key)
    if candidates is not None:
        require_kind("candidates", candidates, Sequence, "[amortis.Factors(amortis.FullRank())]")
    wanted = _usual(model) if candidates is None else tuple(candidates)
    if not wanted:
        raise ArgumentError("candidates is empty; expected some: leave it out for the usual ones")
    for factors in wanted:
        require_kind("a candidate", factors, Factors, "amortis.Factors(amortis.FullRank())")
    tried: list[Candidate] = []
    waiting = list(wanted)
    while waiting:
        factors = waiting.pop(0)
        tried.append(_tried(model, factors, numerics.forked(key, len(tried))))
        if _is_enough(tried[-1]) and not all_of_them:
            break
        mixtures = sum(isinstance(c.factors.globals_, Mixture) for c in tried)
        if candidates is None and mixtures < _MOST_MIXTURES:
            known = [c.factors for c in tried]
            waiting = [*(f for f in _in_every_mode(tried[-1]) if f not in known), *waiting]
    if all(c.fit is None for c in tried):
        raise ModelError(
            f"no family could be fitted ({tried[-1].failure}); expected at least one: see the "
            f"message, or pass other candidates"
        )
    return Selection(tuple(tried))


def _usual(model: LatentModel) -> tuple[Factors, ...]:
    if model.starts:  # families that tie globals cannot stand beside parameters without a prior
        if not model.locals_:
            return (Factors(DiagonalNormal()),)
        return tuple(Factors(DiagonalNormal(), own) for own in (DiagonalNormal(), FullRank()))
    if model.locals_:
        tied = Conditional()
        return (
            Factors(DiagonalNormal(), DiagonalNormal()),
            Factors(FullRank(), tied),
            Factors(Flow(), tied),
        )
    return Factors(DiagonalNormal()), Factors(FullRank()), Factors(Flow())


def _tried(model: LatentModel, factors: Factors, key: RandomKey) -> Candidate:
    started = time.perf_counter()
    try:
        fitted = fit(model, key=key, globals_=factors.globals_, locals_=factors.locals_)
        found = diagnose(fitted, key=numerics.forked(key, 1), draws=_ELBO_DRAWS)
    except (ModelError, MissingDependencyError, ArgumentError) as error:
        return Candidate(factors, None, None, time.perf_counter() - started, str(error))
    return Candidate(factors, fitted, found, time.perf_counter() - started)


def _in_every_mode(candidate: Candidate) -> tuple[Factors, ...]:
    """A mixture, where one mode is not all."""
    if candidate.diagnosis is None or not candidate.diagnosis.missed:
        return ()
    assert candidate.fit is not None  # which was diagnosed
    if candidate.fit.model.starts:
        return ()
    known = components_of(candidate.fit.guide.global_family)
    return (Factors(Mixture(known + len(candidate.diagnosis.missed))),)


def _is_enough(candidate: Candidate) -> bool:
    """Whether richer families have nothing left to gain that anybody would see."""
    diagnosis = candidate.diagnosis
    if diagnosis is None or not diagnosis.trusted:
        return False
    return diagnosis.finding is Finding.EXACT or diagnosis.weight_variance <= EVEN


def _line(candidate: Candidate, width: int) -> str:
    name = f"  {candidate.factors!s:<{width}}"
    diagnosis = candidate.diagnosis
    if diagnosis is None:
        return f"{name}  {candidate.failure}"
    verdict = "trust" if candidate.trusted else diagnosis.finding.name
    k = diagnosis.global_k
    shown = "exact" if k == -math.inf else f"{k:.2f}"
    return (
        f"{name}  elbo {diagnosis.elbo.mean:.3f} ± {diagnosis.elbo.se:.3f}  k-hat {shown:>5}  "
        f"{candidate.seconds:.1f} s  {verdict}"
    )
