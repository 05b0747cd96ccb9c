"""`amortis infer`: fit to some data, and give the posterior of every row of other data."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import jax
import numpy as np
import typer

import amortis
from amortis._errors import NonFiniteDataError
from amortis._types import RandomKey
from amortis.cli.arguments import parse_set, read_data, takes_any_name
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
from amortis.cli.inferred_rows import Inferred, describe_inferred, gathered, write_inferred
from amortis.cli.load_model import load_model, naming_the_line
from amortis.cli.model_options import LocalName, MaybeDataFiles, ModelPlace, PlainArguments
from amortis.cli.output import prepare_folder
from amortis.cli.summary import describe_end
from amortis.data import argument_names
from amortis.model import AbstractRebind

_Choice = TypeVar("_Choice")

_OUTSIDE = {"unchecked": amortis.Outside.UNCHECKED, "flagged": amortis.Outside.FLAGGED}
_OUTSIDE["refined"] = amortis.Outside.REFINED
_MISSING = {"refused": amortis.Missing.REFUSED, "nan": amortis.Missing.NAN}


def infer(
    model: ModelPlace,
    new: Annotated[
        list[str],
        typer.Option(
            "--new", metavar="FILE", help="New data, as --data are given. May be repeated."
        ),
    ],
    data: MaybeDataFiles = None,
    fit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A fit that `amortis fit --out` has written."),
    ] = None,
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
    """Infer the latents of new data with nothing optimised, by a fit from a file or of --data.

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
    _require_one(data, fit)
    if fit is None:
        problem = read_problem(model, data or [], set_, local, out)
        source = _Source(problem.function, problem.plain, problem.folder, problem)
    else:
        source = _of_archive(fit, model, set_, new, out)
    arrays, unused = read_data(source.function, new, source.plain)
    if policy is amortis.Missing.REFUSED:
        _require_finite(arrays)
    fitted = _fitted(source, arrays, key, choices)
    started = time.perf_counter()
    with naming_the_line(model):
        found = _inferred(fitted, arrays | source.plain, key, wanted, policy)
    typer.echo(describe_inferred(found, new, unused, time.perf_counter() - started))
    if source.folder is not None:
        written, hint = write_inferred(found, source.folder)
        typer.echo(f"\nwritten to {source.folder}: {', '.join(written)}{hint}")
    return exit_code(fitted.status)


def _inferred(
    fitted: amortis.Fit | amortis.Trained,
    arguments: Mapping[str, Any],
    key: RandomKey,
    outside: amortis.Outside | None,
    missing: amortis.Missing,
) -> Inferred:
    """All rows of the new data, checked where they can be unless something else was asked for."""
    if outside is None:
        whole = isinstance(fitted, amortis.Fit) and not fitted.model.separable
        outside = amortis.Outside.UNCHECKED if whole else amortis.Outside.FLAGGED
    key = jax.random.fold_in(key, 1)
    return gathered(amortis.stream(fitted, [arguments], key=key, outside=outside, missing=missing))


class _Source(NamedTuple):
    """The model, its plain arguments, the folder for outputs, and what is fitted or was."""

    function: Callable[..., Any]
    plain: dict[str, Any]
    folder: Path | None
    problem: Problem | amortis.Trained


def _fitted(
    source: _Source, arrays: Mapping[str, Any], key: RandomKey, choices: Mapping[str, Any]
) -> amortis.Fit | amortis.Trained:
    """A fit to the data, or the one of the archive."""
    if isinstance(source.problem, amortis.Trained):
        return source.problem
    _require_form(source.problem, arrays)
    fitted, seconds = fit_problem(source.problem, key, choices)
    typer.echo(describe_end(fitted, seconds))
    return fitted


def _of_archive(
    file: Path, model: str, settings: list[str] | None, new: list[str], out: Path | None
) -> _Source:
    """An archived fit, with the plain arguments that it had but for those that are given."""
    function = load_model(model)
    plain = parse_set(function, settings or [])
    trained = amortis.load(file, function)
    assert isinstance(trained, amortis.Trained)  # no data were passed
    known = trained.rebind.form.plain if isinstance(trained.rebind, AbstractRebind) else {}
    # Parts of nested arguments are no names of a call; files may be named for an argument.
    claimed = {name for name, equals, _ in (text.partition("=") for text in new) if equals}
    names = {*known} if takes_any_name(function) else {*argument_names(function)}
    kept = {
        name: value
        for name, value in known.items()
        if name in names and name.isidentifier() and name not in claimed
    }
    folder = None if out is None else prepare_folder(out)
    typer.echo(f"{file}: {trained}")
    return _Source(function, {**kept, **plain}, folder, trained)


def _require_one(data: list[str] | None, fit: Path | None) -> None:
    if bool(data) == (fit is not None):
        came = "both --data and --fit are" if data else "neither --data nor --fit is"
        raise amortis.ArgumentError(
            f"{came} given; expected one: data to fit the model to, or a fit that `amortis fit "
            f"--out` has written"
        )


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
