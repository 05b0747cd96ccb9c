r"""`update`: online learning; $q(\theta)$ of one fit is the prior of the next."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from amortis._errors import ArgumentError
from amortis._require import require_callable, require_key, require_kind
from amortis._types import RandomKey, RowIndex, Rows, Sites, Values
from amortis.families import AbstractFamily, PartlyPoint
from amortis.fitting.choose import choose_gradient, choose_method
from amortis.fitting.infer import bound_to
from amortis.fitting.record import Fit
from amortis.fitting.trained import Trained
from amortis.guide import SiteLayout
from amortis.model import (
    AbstractDensity,
    AbstractRebind,
    ArgumentForm,
    Arguments,
    BoundCall,
    LatentModel,
    LogTerms,
    ParameterSite,
)
from amortis.objectives import NegativeElbo
from amortis.optimise import AbstractMethod, Monitor, minimise
from amortis.structure import Joint

_SAME = 1e-3
"""Nats, absolute and relative, within which two log priors are the same."""


def update(
    fitted: Fit | Trained,
    model: LatentModel,
    *,
    key: RandomKey,
    optimiser: AbstractMethod | None = None,
    monitor: Monitor | None = None,
) -> Fit:
    r"""Go on from a fit with new data alone: $q(\theta)$ takes the place of the prior.

    Maximises $E_q[\log q_{\mathrm{old}}(\theta) + \sum_m \log p(z_m, x_m\mid\theta)] + H[q]$ over
    the new rows m, from the old $q(\theta)$ and the old function. The old rows are not needed, and
    further updates go on from this one.

    What is lost against a fit to all data: the old rows enter by $q_{\mathrm{old}}(\theta)$ only.
    A factorized q of the globals is narrower than the posterior, so that old data count for too
    much; and the function is trained on the new rows, so that it may forget what only the old ones
    asked for. Its inputs stay standardized by the first data. Terms that no row owns count once,
    in the first fit.

    Args:
        fitted: a fit whose globals have a density, of a model whose units stand alone; or what
            `load` has read of one, whose prior is then taken to be that of `model`.
        model: the same model, bound to the new data.
        key: random key.
        optimiser: how to optimise; chosen from the new data's size if left out.
        monitor: called after every block of iterations, as by `fit`.

    Returns:
        A fit to the new data. Its `elbo` bounds the evidence of the new data given the old, as far
        as q of the globals is their posterior.

    Raises:
        ArgumentError: point estimates of the globals, units that touch each other, or a model with
            another prior.
        DataError: new data with other columns, categories or shapes.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist, amortis
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> x = jax.numpy.linspace(-3.0, 5.0, 60)
        >>> key = jax.random.key(0)
        >>> first = amortis.fit(
        ...     amortis.from_numpyro(model, x[:40]), key=key, inference=amortis.Polynomial(1)
        ... )
        >>> both = amortis.update(first, amortis.from_numpyro(model, x[40:]), key=key)
        >>> both.model.size, both.status.name
        (20, 'CONVERGED')

    References:
        Broderick et al., *Streaming Variational Bayes* (2013).
    """
    require_kind("fitted", fitted, Fit | Trained, "amortis.fit(model, key=key)")
    require_kind("model", model, LatentModel, "amortis.from_numpyro(model, x_new)")
    require_key(key)
    if monitor is not None:
        require_callable("monitor", monitor)
    bound = _bound(fitted, model)
    return _continued(bound, fitted.variational, key, optimiser, monitor)


def _bound(fitted: Fit | Trained, model: LatentModel) -> Fit:
    """The fit on the new data, with its factor of the globals in the prior's place."""
    trained = Trained.of(fitted) if isinstance(fitted, Fit) else fitted
    _require_density(trained)
    bound = bound_to(trained, model, held=False)
    _require_separable(bound.model)
    if isinstance(fitted, Fit):
        _require_own(fitted)
        _require_same_prior(fitted, bound.model)
    guide = fitted.guide
    inherited = _Inherited(guide.global_family, guide.theta, fitted.variational["globals"])
    return dataclasses.replace(bound, model=inherited.given(bound.model))


def _continued(
    bound: Fit,
    start: dict[str, Any],
    key: RandomKey,
    optimiser: AbstractMethod | None,
    monitor: Monitor | None,
) -> Fit:
    """Optimise from the parameters of another fit."""
    chosen = choose_method(bound.model, bound.guide.inference, bound.guide.global_family)
    method = chosen if optimiser is None else optimiser
    noise_key, function_key = jax.random.split(key)
    if bound.guide.inference.owns_rows:
        # A table has no entries for new rows: they start afresh.
        start = {**start, "locals": bound.guide.init(function_key)["locals"]}
    loss = NegativeElbo(bound.model, bound.guide, choose_gradient(method))
    starts = jax.tree.map(lambda leaf: leaf[None], start)
    outcome = minimise(method, loss, starts, key=noise_key, monitor=monitor)
    return Fit(bound.model, bound.guide, outcome.parameters, outcome.status, outcome.history)


def _require_density(fitted: Trained) -> None:
    if isinstance(fitted.guide.global_family, PartlyPoint):
        raise ArgumentError(
            "the model of the fit has parameters without a prior, of which no density is left to "
            "take the prior's place; expected a prior for every global: fit all data together"
        )
    if not fitted.guide.global_family.is_density:
        raise ArgumentError(
            f"the fit has {type(fitted.guide.global_family).__name__}() globals, which have no "
            f"density to take the prior's place; expected a fit with one: fit with "
            f"globals_=amortis.DiagonalNormal()"
        )


def _require_own(fitted: Fit) -> None:
    """Refuse q(theta) that has not seen the fit's data, and units that touch each other."""
    if fitted.held:
        raise ArgumentError(
            "the fit came from infer, whose q of the globals has not seen its data; expected one "
            "that was optimised: update the fit that was given to infer"
        )
    _require_separable(fitted.model)


def _require_separable(model: LatentModel) -> None:
    if not model.separable:
        raise ArgumentError(
            f"the units of {model.plate!r} touch each other or share rows, so that old and new "
            f"data do not part given the globals; expected a model that `check` calls POINTWISE or "
            f"GROUPED: fit all data together"
        )


def _require_same_prior(fitted: Fit, model: LatentModel) -> None:
    """The old fit has counted these terms; others, or of other data, would be lost."""
    old = fitted.model
    if isinstance(old.density, InheritedDensity):
        old = dataclasses.replace(old, density=old.density.inner)
    mean, sd = fitted.guide.global_moments(fitted.variational)
    for step in (-1.0, 0.0, 1.0):
        theta = fitted.guide.theta.split(mean + step * sd)
        before, now = float(_log_prior(old, theta)), float(_log_prior(model, theta))
        if not np.isclose(before, now, rtol=_SAME, atol=_SAME, equal_nan=True):
            raise ArgumentError(
                f"the terms that no row owns are {now:.6g} nats with the new data and "
                f"{before:.6g} with the old; expected the same, since q of the globals replaces "
                f"them: pass the same model, with data in the rows only"
            )


@eqx.filter_jit
def _log_prior(model: LatentModel, theta: Sites) -> Array:
    return model.log_prior(theta)


class _Inherited(eqx.Module):
    """A fitted factor of the globals, to be a prior."""

    family: AbstractFamily
    layout: SiteLayout
    raw: Float[Array, " raw"]

    def given(self, model: LatentModel) -> LatentModel:
        """The model with this factor in the place of its prior; bound again, it keeps it."""
        old, rebind = model.rebind, None
        if isinstance(old, AbstractRebind):
            rebind = InheritedRebind(old.form, old.by_rows, old, self)
        density = InheritedDensity(model.density, self)
        return dataclasses.replace(model, density=density, rebind=rebind)


class InheritedDensity(AbstractDensity):
    r"""A model's rows, with $\log q_{\mathrm{old}}(\theta)$ in the place of the other terms.

    Attributes:
        inner: the model's own density.
        prior: what takes the prior's place.
    """

    inner: AbstractDensity
    prior: _Inherited

    def log_terms(self, theta: Sites, z: Sites, rows: Rows) -> LogTerms:
        terms = self.inner.log_terms(theta, z, rows)
        value = self.prior.layout.join(theta)
        # The factor's density is that of unconstrained values, which has the determinant in it.
        log_q = self.prior.family.log_density(self.prior.raw, value)
        return LogTerms(log_q - terms.log_det, terms.log_det, terms.local, terms.local_priors)

    def constrain(self, theta: Sites, z: Sites, rows: Rows) -> Values:
        return self.inner.constrain(theta, z, rows)

    def take(self, data: Rows, index: RowIndex) -> Rows:
        return self.inner.take(data, index)

    def joint(self, data: Rows) -> Joint:
        return self.inner.joint(data)

    def bound_call(self, data: Rows) -> BoundCall:
        return self.inner.bound_call(data)


@dataclasses.dataclass(frozen=True, eq=False)
class InheritedRebind(AbstractRebind):
    """Binds an updated model to other data, with the same factor in the prior's place."""

    form: ArgumentForm
    by_rows: bool
    inner: AbstractRebind
    inherited: _Inherited

    @property
    def parameters(self) -> tuple[ParameterSite, ...] | None:  # pyright: ignore
        """Those of the model that was updated."""
        return self.inner.parameters

    def flatten(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        return self.inner.flatten(args, kwargs)

    def bind(self, arguments: Arguments) -> LatentModel:
        model = self.inner.bind(arguments)
        density = InheritedDensity(model.density, self.inherited)
        return dataclasses.replace(model, density=density, rebind=self)

    def refilled(self, model: LatentModel, arguments: Arguments) -> LatentModel:
        return self.inner.refilled(model, arguments)
