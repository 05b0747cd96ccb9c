"""`fit`: from a model to an amortized posterior."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Key

from amortis._errors import ArgumentError, NonFiniteDensityError
from amortis._require import require_callable, require_count, require_key, require_kind
from amortis._types import Parameters, RandomKey
from amortis.families import AbstractFamily, DiagonalNormal
from amortis.fitting.choose import choose_gradient, choose_method, with_inference
from amortis.fitting.record import Fit
from amortis.guide import Guide
from amortis.inference_functions import AbstractInferenceFunction, as_inference_function
from amortis.model import LatentModel
from amortis.objectives import AbstractGradient, NegativeElbo
from amortis.optimise import AbstractMethod, FreshDraws, Monitor, Status, minimise

_START_LOG_SDS = (0.0, -2.0, -4.0, -6.0)
"""Log sds of the locals at the start, tried in turn until the objective is finite."""


def fit(
    model: LatentModel,
    *,
    key: RandomKey,
    inference: AbstractInferenceFunction | Callable[..., Any] | None = None,
    globals_: AbstractFamily | None = None,
    locals_: AbstractFamily | None = None,
    optimiser: AbstractMethod | None = None,
    gradient: AbstractGradient | None = None,
    restarts: int = 1,
    monitor: Monitor | None = None,
) -> Fit:
    r"""Fit $q(\theta)\prod_n q(z_n; f(x_n))$ by maximising the evidence lower bound.

    $\mathrm{ELBO} = E_q[\log p(\theta) + \sum_n \log p(z_n, x_n\mid\theta)] + H[q]$, in nats.

    Nothing has to be chosen; every choice can be given as an object. A fit that did not converge
    says so in its `status`. Ctrl-C returns the best state so far, if a first step was compiled.

    Args:
        model: a model bound to its data.
        key: random key; the same key gives the same fit.
        inference: the inference function, or a module for `Network`; by default what `check` finds
            to be enough: `MLP()`, `Windowed(MLP(), …)`, `SetNetwork()`, or `Table()` if none is.
        globals_: the factor of the globals; by default `DiagonalNormal()`; `Point()` for
            variational EM.
        locals_: the factor of one row's locals; by default `DiagonalNormal()`.
        optimiser: `FixedDraws(...)` or `FreshDraws(...)`; by default chosen from the sizes.
        gradient: `ClosedFormEntropy()` (fixed draws) or `StickTheLanding()` (fresh draws).
        restarts: starts that are run together; the best is kept.
        monitor: called after every block of steps; see `Monitor`.

    Returns:
        The fit.

    Raises:
        ArgumentError: restarts below one, or a choice that does not fit the model.
        NonFiniteDensityError: the objective is not finite for any narrow enough start.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> x = jax.numpy.linspace(-3.0, 3.0, 50)
        >>> from amortis import Polynomial, from_numpyro
        >>> fitted = fit(from_numpyro(model, x), key=jax.random.key(0), inference=Polynomial(1))
        >>> fitted.status.name
        'CONVERGED'
    """
    require_count("number of", "restarts", restarts, "leave it out for one")
    require_key(key)
    require_kind("model", model, LatentModel, "amortis.from_numpyro(model, x)")
    _require_kinds(globals_, locals_, optimiser, gradient)
    if monitor is not None:
        require_callable("monitor", monitor)
    model, inference = with_inference(model, _as_chosen(inference))
    guide = Guide.for_model(
        model,
        inference,
        DiagonalNormal() if globals_ is None else globals_,
        DiagonalNormal() if locals_ is None else locals_,
    )
    method = choose_method(model, inference) if optimiser is None else optimiser
    _require_whole(model, method)
    gradient = choose_gradient(method) if gradient is None else gradient
    loss = NegativeElbo(model, guide, gradient)
    return _from_finite_start(loss, method, key, restarts, monitor)


def _as_chosen(inference: object) -> AbstractInferenceFunction | None:
    return None if inference is None else as_inference_function(inference)


def _require_kinds(globals_: object, locals_: object, optimiser: object, gradient: object) -> None:
    """Choices are objects: a string or a class in place of one is refused by its name."""
    for name, value, kind, example in (
        ("globals_", globals_, AbstractFamily, "amortis.DiagonalNormal()"),
        ("locals_", locals_, AbstractFamily, "amortis.DiagonalNormal()"),
        ("optimiser", optimiser, AbstractMethod, "amortis.FixedDraws()"),
        ("gradient", gradient, AbstractGradient, "amortis.StickTheLanding()"),
    ):
        if value is not None:
            require_kind(name, value, kind, example)


def _require_whole(model: LatentModel, method: AbstractMethod) -> None:
    """Refuse minibatches of a model that can only be evaluated as a whole."""
    batch = method.batch if isinstance(method, FreshDraws) else None
    if not model.separable and batch is not None and batch < model.size:
        raise ArgumentError(
            f"FreshDraws(batch={batch}) takes some of the {model.size} units of {model.plate!r}, "
            f"but they share terms; expected all of them: leave batch out or use FixedDraws()"
        )


def _from_finite_start(
    loss: NegativeElbo,
    method: AbstractMethod,
    key: RandomKey,
    restarts: int,
    monitor: Monitor | None,
) -> Fit:
    """Optimise from the widest local factors with which the objective is finite at the start."""
    start_key, noise_key = jax.random.split(key)
    starts = _starts(loss.guide, jax.random.split(start_key, restarts))
    for log_sd in _START_LOG_SDS:
        guide = loss.guide.starting_at(log_sd)
        narrowed = dataclasses.replace(loss, guide=guide)
        outcome = minimise(method, narrowed, starts, key=noise_key, monitor=monitor)
        if outcome.status is not Status.DIVERGED or np.isfinite(outcome.history.objective[0]):
            return Fit(loss.model, guide, outcome.parameters, outcome.status, outcome.history)
    raise NonFiniteDensityError(
        f"the objective is not finite at any of {restarts} starts, even with local sds of "
        f"{math.exp(_START_LOG_SDS[-1]):.2g}; expected a finite log density around unconstrained "
        f"zero: rescale the data or tighten the priors"
    )


@eqx.filter_jit
def _starts(guide: Guide, keys: Key[Array, " restarts"]) -> dict[str, Parameters]:
    return jax.vmap(guide.init)(keys)
