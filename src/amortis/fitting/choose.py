"""What `fit` chooses where the user did not: the inference function, the method, the restarts."""

from amortis.inference_functions import MLP, AbstractInferenceFunction, Table
from amortis.model import LatentModel
from amortis.objectives import AbstractGradient, ClosedFormEntropy, StickTheLanding
from amortis.optimise import AbstractMethod, FixedDraws, FreshDraws

_MOST_FIXED_NUMBERS = 4_000_000
"""Draws times rows times local dimensions that an evaluation on fixed draws may hold in memory."""

_FIRST_DRAWS = {True: 128, False: 16}


def choose_inference(model: LatentModel) -> AbstractInferenceFunction:
    """An `MLP` of 16 tanh units in two layers with a linear skip; a `Table` without inputs.

    Args:
        model: the model.

    Returns:
        The inference function.
    """
    return MLP() if model.inputs.shape[1] > 0 else Table()


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
    return FixedDraws() if numbers <= _MOST_FIXED_NUMBERS else FreshDraws()


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
