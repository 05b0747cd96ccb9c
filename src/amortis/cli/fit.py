"""`amortis fit`: from a model in a file and data in files to a posterior."""

import time
from pathlib import Path
from typing import Annotated, Any

import jax
import typer

import amortis
from amortis._errors import ArgumentError
from amortis._types import RandomKey
from amortis.cli.arguments import parse_set, read_data
from amortis.cli.choices import (
    GLOBALS_FORMS,
    INFERENCE_FORMS,
    OPTIMISER_FORMS,
    parse_globals,
    parse_inference,
    parse_optimiser,
    require_at_least,
)
from amortis.cli.exit_codes import exit_code
from amortis.cli.load_model import load_model, naming_the_line
from amortis.cli.model_options import DataFiles, LocalName, ModelPlace, PlainArguments
from amortis.cli.output import (
    local_moments,
    posterior_draws,
    prepare_folder,
    write_arrays,
    write_json,
    write_plots,
)
from amortis.cli.progress import progress_display
from amortis.cli.summary import describe_fit, describe_model
from amortis.report import fit_numbers
from amortis.report.numbers import Moments

_LARGEST_SEED = 2**32 - 1

_ELBO_NUMBERS = 2_000_000
"""Rows times draws of the reported ELBO, within 64 and 4096 draws."""


def fit(
    model: ModelPlace,
    data: DataFiles,
    set_: PlainArguments = None,
    local: LocalName = None,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    inference: Annotated[
        str | None, typer.Option(help=f"{INFERENCE_FORMS}. Default: mlp:16x2.")
    ] = None,
    globals_: Annotated[
        str, typer.Option("--globals", help=f"{GLOBALS_FORMS} (variational EM).")
    ] = "diagonal",
    optimiser: Annotated[
        str | None, typer.Option(help=f"{OPTIMISER_FORMS}. Default: by the sizes.")
    ] = None,
    restarts: Annotated[int, typer.Option(help="Starts run together; the best is kept.")] = 1,
    draws: Annotated[int, typer.Option(help="Posterior draws in DIR/draws.npz.")] = 1000,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for numbers, draws and plots.")
    ] = None,
) -> int:
    """Fit a model to data; print the ELBO, how the fit ended, and the globals.

    For example: amortis fit examples/linear.py:model --data rows.csv --inference polynomial:1
    """
    require_at_least("--draws", draws, 1, "leave it out for 1000")
    require_at_least("--restarts", restarts, 1, "leave it out for 1")
    key = _key(seed)
    choices: dict[str, Any] = {
        "inference": None if inference is None else parse_inference(inference),
        "globals_": parse_globals(globals_),
        "optimiser": None if optimiser is None else parse_optimiser(optimiser),
        "restarts": restarts,
    }
    function = load_model(model)
    plain = parse_set(function, set_ or [])
    arrays, unused = read_data(function, data, plain)
    folder = None if out is None else prepare_folder(out)
    with naming_the_line(model):
        bound = amortis.from_numpyro(function, local=local, **(arrays | plain))
    typer.echo(describe_model(bound, model, arrays, unused))
    started = time.perf_counter()
    with progress_display() as display:
        fitted = amortis.fit(bound, key=key, monitor=display.monitor_for("fit"), **choices)
    seconds = time.perf_counter() - started
    draws_of_elbo = min(max(_ELBO_NUMBERS // bound.size, 64), 4096)
    elbo = fitted.elbo(key=jax.random.fold_in(key, 1), draws=draws_of_elbo)
    moments = fitted.moments()
    typer.echo(describe_fit(fitted, elbo, moments, seconds))
    if folder is not None:
        numbers = fit_numbers(fitted, elbo, moments, seconds)
        numbers |= {"model": model, "data": list(data), "set": plain, "seed": seed}
        _write(folder, fitted, numbers, moments, jax.random.fold_in(key, 2), draws)
    return exit_code(fitted.status)


def _key(seed: int) -> RandomKey:
    if not 0 <= seed <= _LARGEST_SEED:
        raise ArgumentError(f"--seed is {seed}; expected 0 to {_LARGEST_SEED}: choose another")
    return jax.random.key(seed)


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
    written = ["numbers.json", "draws.npz", "local_moments.npz", *plots]
    typer.echo(f"\nwritten to {folder}: {', '.join(written)}")
    if left_out:
        typer.echo(
            f"draws.npz is without {', '.join(left_out)}: {draws} draws would be too large; means "
            f"and sds are in local_moments.npz, or ask for fewer with --draws"
        )
    if hint:
        typer.echo(hint)
