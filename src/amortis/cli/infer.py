"""`amortis infer`: fit to some data, and give the posterior of every row of other data."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import jax
import numpy as np
import typer

import amortis
from amortis._errors import NonFiniteDataError
from amortis.cli.arguments import read_data
from amortis.cli.choices import nearest
from amortis.cli.exit_codes import exit_code
from amortis.cli.fit_options import (
    GlobalsChoice,
    InferenceChoice,
    OptimiserChoice,
    Problem,
    Restarts,
    Seed,
    fit_problem,
    key_of,
    parse_choices,
    read_problem,
)
from amortis.cli.inferred_rows import describe_inferred, gathered, write_inferred
from amortis.cli.load_model import naming_the_line
from amortis.cli.model_options import DataFiles, LocalName, ModelPlace, PlainArguments
from amortis.cli.summary import describe_end
from amortis.model import AbstractRebind

_Choice = TypeVar("_Choice")

_OUTSIDE = {"unchecked": amortis.Outside.UNCHECKED, "flagged": amortis.Outside.FLAGGED}
_OUTSIDE["refined"] = amortis.Outside.REFINED
_MISSING = {"refused": amortis.Missing.REFUSED, "nan": amortis.Missing.NAN}


def infer(
    model: ModelPlace,
    data: DataFiles,
    new: Annotated[
        list[str],
        typer.Option(
            "--new", metavar="FILE", help="New data, as --data are given. May be repeated."
        ),
    ],
    set_: PlainArguments = None,
    local: LocalName = None,
    seed: Seed = 0,
    inference: InferenceChoice = None,
    globals_: GlobalsChoice = "diagonal",
    optimiser: OptimiserChoice = None,
    restarts: Restarts = 1,
    outside: Annotated[
        str | None,
        typer.Option(
            help="Rows outside the fit's reach: unchecked, flagged (k-hat above 0.7) or refined. "
            "Default: flagged, where rows can be checked."
        ),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="Rows with NaN: refused, or nan to have NaN for them.")
    ] = "refused",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for inferred.csv and inferred.npz.")
    ] = None,
) -> int:
    """Fit a model to data, and infer the latents of new data with nothing optimised.

    For example: amortis infer examples/linear.py:model --data rows.csv --new more.csv --out results
    """
    key = key_of(seed)
    choices = parse_choices(inference, globals_, optimiser, restarts)
    if choices["inference"] is not None and choices["inference"].owns_rows:
        raise amortis.ArgumentError(
            f"--inference is '{inference}', which has a factor for each datum and no function for "
            f"new data; expected one that has: choose polynomial or mlp"
        )
    wanted = None if outside is None else _choice("--outside", outside, _OUTSIDE)
    policy = _choice("--missing", missing, _MISSING)
    problem = read_problem(model, data, set_, local, out)
    arrays, unused = read_data(problem.function, new, problem.plain)
    _require_form(problem, arrays)
    if policy is amortis.Missing.REFUSED:
        _require_finite(arrays)
    fitted, seconds = fit_problem(problem, key, choices)
    # From here on a fit that was read from a file would do as well.
    typer.echo(describe_end(fitted, seconds))
    if wanted is None:
        checkable = fitted.model.separable
        wanted = amortis.Outside.FLAGGED if checkable else amortis.Outside.UNCHECKED
    started = time.perf_counter()
    blocks = amortis.stream(
        fitted,
        [arrays | problem.plain],
        key=jax.random.fold_in(key, 1),
        outside=wanted,
        missing=policy,
    )
    with naming_the_line(model):
        found = gathered(blocks)
    typer.echo(describe_inferred(found, new, unused, time.perf_counter() - started))
    if problem.folder is not None:
        written, hint = write_inferred(found, problem.folder)
        typer.echo(f"\nwritten to {problem.folder}: {', '.join(written)}{hint}")
    return exit_code(fitted.status)


def _require_form(problem: Problem, arrays: Mapping[str, Any]) -> None:
    """Refuse data of another form before a fit is spent."""
    rebind = problem.model.rebind
    if isinstance(rebind, AbstractRebind):
        rebind.form.require(rebind.flatten((), {**arrays, **problem.plain}))


def _require_finite(arrays: Mapping[str, Any]) -> None:
    for name, array in arrays.items():
        values = np.asarray(array)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            count = int((~np.isfinite(values)).sum())
            raise NonFiniteDataError(
                f"--new has NaN or infinity in {name!r}, first in row {row} ({count} such values); "
                f"expected finite numbers: drop those rows, or have NaN for them by --missing nan"
            )


def _choice(option: str, text: str, known: Mapping[str, _Choice]) -> _Choice:
    """The choice of that name."""
    if text.casefold() not in known:
        raise amortis.ArgumentError(
            f"{option} is '{text}'; expected {', '.join(known)}: {nearest(text, known)}"
        )
    return known[text.casefold()]
