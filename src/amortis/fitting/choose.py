"""What `fit` chooses where the user did not: the inference function, the method, the restarts."""

from amortis.checking import check
from amortis.families import AbstractFamily, Flow
from amortis.inference_functions import (
    MLP,
    AbstractInferenceFunction,
    AbstractIterated,
    Constant,
    SetNetwork,
    Table,
    Windowed,
)
from amortis.model import LatentModel
from amortis.objectives import (
    AbstractGradient,
    ClosedFormEntropy,
    StickTheLanding,
    coupled_draws,
)
from amortis.optimise import AbstractMethod, FixedDraws, FreshDraws
from amortis.structure import Kind, Verdict

_MOST_FIXED_NUMBERS = 4_000_000
"""Draws times rows times local dimensions that an evaluation on fixed draws may hold in memory."""

_SET_WIDTHS, _SHARE = (16, 4), 0.05
"""Hidden units of a set network that are tried, and the most numbers that it may have, as a share
of the numbers of a table. With few groups potentials alone are nearly as good, and faster (radon,
election88 in docs/benchmarks.md)."""

_FIRST_DRAWS = {True: 128, False: 16}
_FLOW_DRAWS = {False: 64, True: 16}
"""Draws per step of a flow, without and with locals of rows."""

_MOST_GLOBAL_DRAWS = 1024
"""Draws that fixed draws grow to, where they fit every one of the globals' dimensions."""


def with_inference(
    model: LatentModel, inference: AbstractInferenceFunction | None
) -> tuple[LatentModel, AbstractInferenceFunction]:
    """The user's inference function, or that which the verdict on the model suggests.

    Args:
        model: the model.
        inference: what the user chose, or None.

    Returns:
        The model, which shows the function only what the verdict says is read, and the function.
    """
    if inference is not None:
        return model, inference
    if not model.locals_:
        return model, Constant()
    verdict = check(model) if model.verdict is None else model.verdict
    model = model.reading(verdict)
    return model, choose_inference(model, verdict)


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
        return SetNetwork(width=_set_width(model))
    if verdict.kind is Kind.WINDOWED:
        return Windowed(MLP(), window_of(verdict))
    return MLP()


def _set_width(model: LatentModel) -> int:
    """The widest set network that is still much smaller than the table it replaces."""
    assert model.members is not None  # only grouped models come here
    outputs = 2 * sum(_size(shape) for shape in model.locals_.values())
    rows, members = model.inputs.shape[1], model.members.values.shape[1]
    for width in _SET_WIDTHS:
        numbers = width * (members + 1 + 2 * outputs + outputs + width + rows + 1)
        if numbers <= _SHARE * model.size * outputs:
            return width
    return 0


def window_of(verdict: Verdict) -> tuple[int, ...]:
    """All offsets at which some array is read, in increasing order."""
    return tuple(sorted({o for given in verdict.inputs for o in given.offsets}))


def choose_method(
    model: LatentModel,
    inference: AbstractInferenceFunction,
    global_family: AbstractFamily | None = None,
) -> AbstractMethod:
    """Fixed draws while an evaluation of all rows fits comfortably in memory, else fresh draws.

    Measured (docs/benchmarks.md): second-order steps on fixed draws win by an order of magnitude
    as long as all rows can be evaluated at once; past a few million numbers per evaluation a
    minibatch has done its epoch's work before one full evaluation returns. Many globals with
    factors of their own ask for many draws too: probabilistic PCA with 577 of them took 22 s by
    fresh draws and 100 s by fixed ones.

    Args:
        model: gives the number of rows and dimensions.
        inference: tells whether rows have their own parameters, which asks for more draws.
        global_family: of the globals; without a density they need no draws.

    Returns:
        The method with its default settings.
    """
    if isinstance(global_family, Flow):
        # A flow can stretch around draws that stay: what it claims there has no bound.
        return FreshDraws(draws=_FLOW_DRAWS[bool(model.locals_)])
    if isinstance(inference, AbstractIterated) and not inference.gradients.through:
        return FreshDraws()  # what trains it is not the slope of one function that stays
    local = sum(_size(shape) for shape in model.locals_.values())
    columns = max(local, model.inputs.shape[1] // 16, 1)
    spread = sum(_size(shape) for shape in model.globals_.values())
    if global_family is not None and not global_family.is_density:
        spread = 0
    draws = max(_FIRST_DRAWS[inference.owns_rows], min(4 * spread, _MOST_GLOBAL_DRAWS))
    if model.coupled:
        # One rule over all rows: the number of draws grows with them.
        draws = coupled_draws(model.size * local + len(model.globals_))
    numbers = model.size * columns * draws
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
