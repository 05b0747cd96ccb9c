"""`fit`: from a model to an amortized posterior."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from amortis import numerics
from amortis._errors import ArgumentError
from amortis._require import (
    require_callable,
    require_count,
    require_key,
    require_kind,
    require_positive,
    shown,
)
from amortis._types import RandomKey
from amortis.families import AbstractFamily, DiagonalNormal
from amortis.fitting.approximated import approximated
from amortis.fitting.approximation import AbstractApproximation
from amortis.fitting.capacity import Choices, to_tolerance
from amortis.fitting.choose import choose_gradient, choose_method, with_inference
from amortis.fitting.first_stage import first_stage
from amortis.fitting.record import Fit
from amortis.fitting.relocate import unstuck
from amortis.fitting.stages import Search, along_ridges, from_mean_field, mean_field_of
from amortis.guide import Guide
from amortis.inference_functions import (
    AbstractInferenceFunction,
    Constant,
    as_inference_function,
)
from amortis.model import LatentModel
from amortis.objectives import (
    AbstractGradient,
    AbstractObjective,
    NegativeElbo,
    with_row_elbos,
)
from amortis.optimise import (
    AbstractMethod,
    ConstantRate,
    FixedDraws,
    FreshDraws,
    Monitor,
)

_NOISE, _STUCK, _CAPACITY, _FRAME = (2**20 + i for i in range(4))
"""What keys are for; restarts have the small numbers."""


def fit(
    model: LatentModel,
    *,
    key: RandomKey,
    inference: AbstractInferenceFunction | Callable[..., Any] | None = None,
    globals_: AbstractFamily | AbstractApproximation | None = None,
    locals_: AbstractFamily | None = None,
    optimiser: AbstractMethod | None = None,
    gradient: AbstractGradient | None = None,
    objective: AbstractObjective | None = None,
    restarts: int = 1,
    tolerance: float | None = None,
    monitor: Monitor | None = None,
) -> Fit:
    r"""Fit $q(\theta)\prod_n q(z_n; f(x_n))$ by maximising the evidence lower bound.

    $\mathrm{ELBO} = E_q[\log p(\theta) + \sum_n \log p(z_n, x_n\mid\theta)] + H[q]$, in nats.

    Every choice can be given as an object. A fit that did not converge says so in its `status`.
    Ctrl-C returns the best state so far, if a first step was compiled.

    Args:
        model: a model bound to its data.
        key: random key; the same key gives the same fit.
        inference: the function, or a module for `Network`; by default what `check` finds to be
            enough: `MLP()`, `Windowed(MLP(), …)`, `SetNetwork()`, or `Table()` if none is.
        globals_: the globals' factor, by default `DiagonalNormal()`; see docs/families.md. Of a
            model without locals also such as `Laplace()`, which does not maximise the ELBO.
        locals_: the factor of one row's locals, by default `DiagonalNormal()`.
        optimiser: by default `FixedDraws()` or `FreshDraws()`; also `ConstantRate(…)`.
        gradient: `ClosedFormEntropy()` (fixed draws) or `StickTheLanding()` (fresh draws).
        objective: for better starts, `SemiAmortized(…)`; against collapse, `AnnealedKL(…)` and
            `FreeBits(…)`; other bounds, `ImportanceWeighted(…)`, `Renyi(…)`; by default the ELBO.
        restarts: starts, of which the best is kept; fresh draws run them together.
        tolerance: amortization gap, in nats per datum, down to which the inference function is
            grown, as told in `capacity`; where units touch each other it ends in `refine`.
        monitor: called after every block of steps; see `Monitor`.

    Returns:
        The fit.

    Raises:
        ArgumentError: restarts below one, or a choice that does not fit the model.
        NonFiniteDensityError: the objective is not finite for any narrow enough start.

    Example:
        >>> import jax, numpyro, numpyro.distributions as dist, amortis
        >>> def model(x):
        ...     theta = numpyro.sample("theta", dist.Normal(0.0, 10.0))
        ...     with numpyro.plate("rows", x.shape[0]):
        ...         z = numpyro.sample("z", dist.Normal(theta, 1.0))
        ...         numpyro.sample("x", dist.Normal(z, 2.0), obs=x)
        >>> bound = amortis.from_numpyro(model, jax.numpy.linspace(-3.0, 3.0, 50))
        >>> fit(bound, key=jax.random.key(0)).status.name
        'CONVERGED'
    """
    _require_numbers(restarts, tolerance, objective)
    require_key(key)
    _require_kinds(model, globals_, locals_, optimiser, gradient, objective, monitor)
    _require_no_rows(model, inference, locals_, tolerance)
    given = Choices(optimiser, gradient, monitor)
    if isinstance(globals_, AbstractApproximation):
        _require_alone(globals_, optimiser, gradient, objective, restarts, monitor)
        return approximated(model, globals_, key)
    families = [DiagonalNormal() if family is None else family for family in (globals_, locals_)]
    fitted = _composed(model, _as_chosen(inference), families, objective, restarts, given, key)
    if tolerance is None:
        return fitted
    grown = numerics.forked(key, _CAPACITY)
    return to_tolerance(fitted, key=grown, tolerance=tolerance, given=given)


def _composed(
    model: LatentModel,
    inference: AbstractInferenceFunction | None,
    families: Sequence[AbstractFamily],
    objective: AbstractObjective | None,
    restarts: int,
    given: Choices,
    key: RandomKey,
) -> Fit:
    """Bring model, guide, objective and method together, with what was not given chosen."""
    model, inference = with_inference(model, inference)
    guide = with_row_elbos(Guide.for_model(model, inference, *families), model)
    first_guide = mean_field_of(guide)
    first = families[0] if first_guide is None else DiagonalNormal()
    method, gradient = _method_for(model, inference, first, given, objective)
    make_loss = NegativeElbo if objective is None else objective.loss
    search = Search(method, numerics.forked(key, _NOISE), given.monitor)
    loss = make_loss(model, guide if first_guide is None else first_guide, gradient)
    fitted = first_stage(loss, search, key, restarts, objective)
    if first_guide is not None:
        method, gradient = _method_for(model, inference, families[0], given, objective)
        search = dataclasses.replace(search, method=method)
        again = make_loss(model, guide, gradient)
        fitted = from_mean_field(fitted, again, search, numerics.forked(key, _FRAME))
    elif not model.locals_ and isinstance(families[0], DiagonalNormal):
        fitted = along_ridges(fitted, loss, search)
    if inference.owns_rows and objective is None:
        stuck_key = numerics.forked(key, _STUCK)
        fitted = unstuck(
            fitted, method, key=stuck_key, gradient=given.gradient, monitor=given.monitor
        )
    return dataclasses.replace(fitted, objective=objective)


def _method_for(
    model: LatentModel,
    inference: AbstractInferenceFunction,
    family: AbstractFamily,
    given: Choices,
    objective: AbstractObjective | None,
) -> tuple[AbstractMethod, AbstractGradient]:
    chosen = choose_method(model, inference, family)
    if objective is not None and not objective.draws_stay and isinstance(chosen, FixedDraws):
        chosen = FreshDraws()
    method = _whole(model, chosen if given.optimiser is None else given.optimiser)
    return method, choose_gradient(method) if given.gradient is None else given.gradient


def _require_numbers(restarts: int, tolerance: float | None, objective: object) -> None:
    require_count("number of", "restarts", restarts, "leave it out for one")
    if tolerance is None:
        return
    require_positive("fit", "tolerance", tolerance)
    if objective is not None:
        raise ArgumentError(
            "tolerance and objective are both given; expected one: the gap after steps of each "
            "row's own says nothing of the function's size"
        )


def _require_no_rows(
    model: LatentModel,
    inference: object,
    locals_: AbstractFamily | None,
    tolerance: float | None,
) -> None:
    """Refuse choices for rows where rows have no latents."""
    if model.locals_:
        return
    given = {"inference": inference, "locals_": locals_, "tolerance": tolerance}
    for name, value in given.items():
        if value is not None and not isinstance(value, Constant | DiagonalNormal):
            raise ArgumentError(
                f"{name} is {shown(value)}, but the model has no local latents; expected choices "
                f"for the globals only: leave {name} out"
            )


def _require_alone(approximation: object, *given: object) -> None:
    """Refuse choices that an approximation, which does not maximise the ELBO, would ignore."""
    if any(value not in (None, 1) for value in given):
        raise ArgumentError(
            f"globals_ is {type(approximation).__name__}(...), which finds q in its own way; "
            f"expected no optimiser, gradient, objective, restarts or monitor beside it: leave "
            f"them out"
        )


def _as_chosen(inference: object) -> AbstractInferenceFunction | None:
    return None if inference is None else as_inference_function(inference)


def _require_kinds(
    model: object,
    globals_: object,
    locals_: object,
    optimiser: object,
    gradient: object,
    objective: object,
    monitor: object,
) -> None:
    """Choices are objects: a string or a class in place of one is refused by its name."""
    require_kind("model", model, LatentModel, "amortis.from_numpyro(model, x)")
    for name, value, kind, example in (
        (
            "globals_",
            globals_,
            AbstractFamily | AbstractApproximation,
            "amortis.DiagonalNormal()",
        ),
        ("locals_", locals_, AbstractFamily, "amortis.DiagonalNormal()"),
        ("optimiser", optimiser, AbstractMethod, "amortis.FixedDraws()"),
        ("gradient", gradient, AbstractGradient, "amortis.StickTheLanding()"),
        ("objective", objective, AbstractObjective, "amortis.ImportanceWeighted()"),
    ):
        if value is not None:
            require_kind(name, value, kind, example)
    if monitor is not None:
        require_callable("monitor", monitor)


def _whole(model: LatentModel, method: AbstractMethod) -> AbstractMethod:
    """The method with all units of a model that can only be evaluated as a whole, in every step."""
    if model.separable or not isinstance(method, FreshDraws | ConstantRate):
        return method
    batch = model.size if method.batch is None else method.batch
    if batch < model.size:
        raise ArgumentError(
            f"{type(method).__name__}(batch={batch}) takes some of the {model.size} units of "
            f"{model.plate!r}, but they share terms; expected all of them: leave batch out or use "
            f"FixedDraws()"
        )
    return dataclasses.replace(method, batch=batch)
