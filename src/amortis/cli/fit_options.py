"""What the commands that fit have in common: the choices, the key, and the fit itself."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import typer

import amortis
from amortis._errors import ArgumentError
from amortis._types import RandomKey
from amortis.cli.arguments import parse_set, read_data
from amortis.cli.choices import (
    GLOBALS_FORMS,
    INFERENCE_FORMS,
    LOCALS_FORMS,
    OPTIMISER_FORMS,
    parse_globals,
    parse_inference,
    parse_locals,
    parse_optimiser,
    require_at_least,
)
from amortis.cli.load_model import load_model, naming_the_line
from amortis.cli.output import prepare_folder
from amortis.cli.progress import progress_display
from amortis.cli.summary import describe_model

Seed = Annotated[int, typer.Option(help="Seed of all random numbers.")]
"""For `key_of`."""

InferenceChoice = Annotated[str | None, typer.Option(help=f"{INFERENCE_FORMS}. Default: mlp:16x2.")]
"""The inference function, as it is typed."""

GlobalsChoice = Annotated[str, typer.Option("--globals", help=f"{GLOBALS_FORMS}.")]
"""The factor of the globals, as it is typed."""

LocalsChoice = Annotated[
    str | None, typer.Option("--locals", help=f"{LOCALS_FORMS}. Default: diagonal.")
]
"""The factor of a row's locals, as it is typed."""

OptimiserChoice = Annotated[
    str | None, typer.Option(help=f"{OPTIMISER_FORMS}. Default: by the sizes.")
]
"""The optimiser, as it is typed."""

Restarts = Annotated[int, typer.Option(help="Starts run together; the best is kept.")]
"""Number of starts."""

_LARGEST_SEED = 2**32 - 1


class Problem(NamedTuple):
    """A model bound to its data.

    Attributes:
        model: the bound model.
        function: the model's function.
        plain: its arguments that are no data.
        folder: where outputs go, made before a fit is spent.
    """

    model: amortis.LatentModel
    function: Callable[..., Any]
    plain: dict[str, Any]
    folder: Path | None


ARCHIVE = "fit.amortis"
"""The name of the archive that `fit` writes and `infer --fit` reads."""


def key_of(seed: int) -> RandomKey:
    """The random key of a seed.

    Raises:
        ArgumentError: the seed is out of range.
    """
    if not 0 <= seed <= _LARGEST_SEED:
        raise ArgumentError(f"--seed is {seed}; expected 0 to {_LARGEST_SEED}: choose another")
    return jax.random.key(seed)


def parse_choices(
    inference: str | None,
    globals_: str,
    optimiser: str | None,
    restarts: int,
    locals_: str | None = None,
) -> dict[str, Any]:
    """The choices as `amortis.fit` takes them.

    Raises:
        ArgumentError: one is none of those that there are.
    """
    require_at_least("--restarts", restarts, 1, "leave it out for 1")
    return {
        "inference": None if inference is None else parse_inference(inference),
        "globals_": parse_globals(globals_),
        "locals_": None if locals_ is None else parse_locals(locals_),
        "optimiser": None if optimiser is None else parse_optimiser(optimiser),
        "restarts": restarts,
    }


def read_problem(
    model: str,
    data: list[str],
    settings: list[str] | None,
    local: str | None,
    out: Path | None,
) -> Problem:
    """Read a model and its data, bind them, and say how they were understood.

    Args:
        model: file and function.
        data: the data files.
        settings: plain arguments, as they are typed.
        local: the local plate or site.
        out: the folder for outputs.

    Raises:
        AmortisError: whatever of it is refused.
    """
    function = load_model(model)
    plain = parse_set(function, settings or [])
    arrays, unused = read_data(function, data, plain)
    folder = None if out is None else prepare_folder(out)
    with naming_the_line(model):
        bound = amortis.from_numpyro(function, local=local, **(arrays | plain))
    typer.echo(describe_model(bound, model, arrays, unused))
    return Problem(bound, function, plain, folder)


def fit_problem(
    problem: Problem, key: RandomKey, choices: Mapping[str, Any]
) -> tuple[amortis.Fit, float]:
    """Fit with a display of progress.

    Args:
        problem: the model and its data.
        key: random key.
        choices: from `parse_choices`.

    Returns:
        The fit, and the seconds it took, compilation included.

    Raises:
        AmortisError: choices that do not fit the model.
    """
    started = time.perf_counter()
    with progress_display() as display:
        fitted = amortis.fit(problem.model, key=key, monitor=display.monitor_for("fit"), **choices)
    return fitted, time.perf_counter() - started
