"""`amortis fit`: from a model in a file and data in files to a posterior."""

from pathlib import Path
from typing import Annotated, Any

import jax
import typer

import amortis
from amortis._types import RandomKey
from amortis.cli.choices import require_at_least
from amortis.cli.exit_codes import exit_code
from amortis.cli.fit_options import (
    ARCHIVE,
    GlobalsChoice,
    InferenceChoice,
    LocalsChoice,
    OptimiserChoice,
    Restarts,
    Seed,
    fit_problem,
    key_of,
    parse_choices,
    read_problem,
)
from amortis.cli.model_options import DataFiles, LocalName, ModelPlace, PlainArguments
from amortis.cli.output import (
    local_moments,
    posterior_draws,
    write_arrays,
    write_json,
    write_plots,
)
from amortis.cli.summary import describe_fit
from amortis.report import fit_numbers
from amortis.report.numbers import Moments

_ELBO_NUMBERS, _ELBO_ENTRIES = 2_000_000, 200_000_000
"""Rows times draws of the reported ELBO, and entries of the inputs times draws."""


def fit(
    model: ModelPlace,
    data: DataFiles,
    set_: PlainArguments = None,
    local: LocalName = None,
    seed: Seed = 0,
    inference: InferenceChoice = None,
    globals_: GlobalsChoice = "diagonal",
    locals_: LocalsChoice = None,
    optimiser: OptimiserChoice = None,
    restarts: Restarts = 1,
    draws: Annotated[int, typer.Option(help="Posterior draws in DIR/draws.npz.")] = 1000,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for numbers, draws and plots.")
    ] = None,
) -> int:
    """Fit a model to data; print the ELBO, how the fit ended, and the globals.

    For example: amortis fit examples/linear.py:model --data rows.csv --inference polynomial:1
    """
    require_at_least("--draws", draws, 1, "leave it out for 1000")
    key = key_of(seed)
    choices = parse_choices(inference, globals_, optimiser, restarts, locals_)
    problem = read_problem(model, data, set_, local, out)
    fitted, seconds = fit_problem(problem, key, choices)
    elbo = fitted.elbo(key=jax.random.fold_in(key, 1), draws=_elbo_draws(fitted.model))
    moments = fitted.moments()
    typer.echo(describe_fit(fitted, elbo, moments, seconds))
    if problem.folder is not None:
        numbers = fit_numbers(fitted, elbo, moments, seconds)
        numbers |= {"model": model, "data": list(data), "set": problem.plain, "seed": seed}
        _write(problem.folder, fitted, numbers, moments, jax.random.fold_in(key, 2), draws)
    return exit_code(fitted.status)


def _elbo_draws(model: amortis.LatentModel) -> int:
    """Few draws of many rows, and fewer of wide ones, whose likelihoods take long."""
    by_rows = min(max(_ELBO_NUMBERS // model.size, 64), 4096)
    return max(min(by_rows, _ELBO_ENTRIES // max(model.inputs.size, 1)), 16)


def _write(
    folder: Path,
    fitted: amortis.Fit,
    numbers: dict[str, Any],
    moments: Moments,
    key: RandomKey,
    draws: int,
) -> None:
    write_json(folder / "numbers.json", numbers)
    values, left_out = posterior_draws(fitted, moments, key, draws)
    write_arrays(folder / "draws.npz", values)
    write_arrays(folder / "local_moments.npz", local_moments(fitted, moments))
    plots, hint = write_plots(fitted, moments, folder)
    amortis.save(fitted, folder / ARCHIVE)
    written = ["numbers.json", "draws.npz", "local_moments.npz", ARCHIVE, *plots]
    typer.echo(f"\nwritten to {folder}: {', '.join(written)}")
    if left_out:
        typer.echo(
            f"draws.npz is without {', '.join(left_out)}: {draws} draws would be too large; means "
            f"and sds are in local_moments.npz, or ask for fewer with --draws"
        )
    if hint:
        typer.echo(hint)
