"""`with_steps`: a fit whose iterated function takes more steps, or fewer."""

import dataclasses

from amortis._errors import ArgumentError
from amortis._require import require_count, require_kind
from amortis.fitting.record import Fit
from amortis.inference_functions import AbstractIterated


def with_steps(fitted: Fit, steps: int) -> Fit:
    r"""The same fit, with another number of steps of `Iterative(…)` or `GradientAscent(…)`.

    Nothing is optimised: the parameters are those that were trained, the factors
    $\lambda_T$ those of the new T.

    Args:
        fitted: a fit with such a function.
        steps: number of steps T, at least one.

    Returns:
        The fit with the new number of steps.

    Raises:
        ArgumentError: a function that takes no steps, or a number below one.

    References:
        Marino, Yue & Mandt, *Iterative amortized inference* (2018), figure 5.
    """
    require_kind("fitted", fitted, Fit, "amortis.fit(model, key=key, inference=Iterative())")
    require_count("number of", "steps", steps, "ask for more")
    function = fitted.guide.inference
    if not isinstance(function, AbstractIterated):
        raise ArgumentError(
            f"with_steps got a fit with {type(function).__name__}(...), which takes no steps; "
            f"expected one with amortis.Iterative(...) or amortis.GradientAscent(...)"
        )
    changed = dataclasses.replace(function, steps=int(steps))
    return dataclasses.replace(fitted, guide=dataclasses.replace(fitted.guide, inference=changed))
