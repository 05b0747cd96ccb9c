"""What `fit` chooses where the user did not: the inference function, the method, the restarts."""

from amortis.inference_functions import (
    MLP,
    AbstractInferenceFunction,
    Constant,
    SetNetwork,
    Table,
    Windowed,
)
from amortis.model import LatentModel
from amortis.objectives import AbstractGradient, ClosedFormEntropy, StickTheLanding
from amortis.optimise import AbstractMethod, FixedDraws, FreshDraws
from amortis.structure import Kind, Verdict

_MOST_FIXED_NUMBERS = 4_000_000
"""Draws times rows times local dimensions that an evaluation on fixed draws may hold in memory."""

_MANY_GROUPS = 1000
"""With fewer groups a wide network would have as many numbers as the factors that it replaces."""

_FIRST_DRAWS = {True: 128, False: 16}


def choose_inference(model: LatentModel, verdict: Verdict) -> AbstractInferenceFunction:
    """The simplest flexible function of what the verdict says that the locals read.

    A perceptron with a linear skip of each unit's own row, or of its window; a set network of its
    group; one factor for all where the locals read no data. Where no function can be ideal, or
    nobody knows, each unit keeps a factor of its own: factorized VI is never worse.

    Args:
        model: the model.
        verdict: of `check` on it.

    Returns:
        The inference function.
    """
    if verdict.answer is not True:
        return Table()
    if not verdict.inputs:
        return Constant()
    if model.members is not None:
        return SetNetwork(width=4 if model.size < _MANY_GROUPS else 16)
    if verdict.kind is Kind.WINDOWED:
        return Windowed(MLP(), window_of(verdict))
    return MLP()


def window_of(verdict: Verdict) -> tuple[int, ...]:
    """All offsets at which some array is read, in increasing order."""
    return tuple(sorted({o for given in verdict.inputs for o in given.offsets}))


def choose_method(model: LatentModel, inference: AbstractInferenceFunction) -> AbstractMethod:
    """Fixed draws while an evaluation of all rows fits comfortably in memory, else fresh draws.

    Measured (docs/benchmarks.md): second-order steps on fixed draws win by an order of magnitude
    as long as all rows can be evaluated at once; past a few million numbers per evaluation a
    minibatch has done its epoch's work before one full evaluation returns.

    Args:
        model: gives the number of rows and local dimensions.
        inference: tells whether rows have their own parameters, which asks for more draws.

    Returns:
        The method with its default settings.
    """
    local = sum(_size(shape) for shape in model.locals_.values())
    columns = max(local, model.inputs.shape[1] // 16, 1)
    numbers = model.size * columns * _FIRST_DRAWS[inference.owns_rows]
    if numbers <= _MOST_FIXED_NUMBERS:
        return FixedDraws()
    return FreshDraws() if model.separable else FreshDraws(batch=model.size)


def choose_gradient(method: AbstractMethod) -> AbstractGradient:
    """Closed-form entropies on fixed draws; on fresh draws stick to the landing.

    The noise of log p - log q vanishes where q is exact, and with it the noise that the stopping
    rule has to see through; fixed draws have no noise to save, and closed forms cost less.

    Args:
        method: the optimiser.

    Returns:
        The gradient estimator.
    """
    return StickTheLanding() if isinstance(method, FreshDraws) else ClosedFormEntropy()


def _size(shape: tuple[int, ...]) -> int:
    total = 1
    for length in shape:
        total *= length
    return total
