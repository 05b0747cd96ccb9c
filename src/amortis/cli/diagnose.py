"""`amortis diagnose`: fit, and say what amortization cost and what to do about it."""

from pathlib import Path
from typing import Annotated

import jax
import typer

import amortis
from amortis.cli.choices import require_at_least
from amortis.cli.exit_codes import exit_code
from amortis.cli.fit_options import (
    GlobalsChoice,
    InferenceChoice,
    OptimiserChoice,
    Restarts,
    Seed,
    fit_problem,
    key_of,
    parse_choices,
    read_problem,
)
from amortis.cli.model_options import DataFiles, LocalName, ModelPlace, PlainArguments
from amortis.cli.output import write_json
from amortis.cli.summary import describe_end

_FEWEST_DRAWS = 8


def diagnose(
    model: ModelPlace,
    data: DataFiles,
    set_: PlainArguments = None,
    local: LocalName = None,
    seed: Seed = 0,
    inference: InferenceChoice = None,
    globals_: GlobalsChoice = "diagonal",
    optimiser: OptimiserChoice = None,
    restarts: Restarts = 1,
    draws: Annotated[int, typer.Option(help="Fresh draws for the gap.")] = 128,
    tolerance: Annotated[
        float, typer.Option(help="Gap in nats per datum that is small enough.")
    ] = 1e-3,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for diagnosis.json and report.html."),
    ] = None,
) -> int:
    """Fit a model to data, and say how much amortization cost and whether q can be trusted.

    For example: amortis diagnose examples/linear.py:model --data rows.csv --inference constant
    """
    require_at_least("--draws", draws, _FEWEST_DRAWS, "leave it out for 128")
    if not tolerance > 0:
        raise amortis.ArgumentError(
            f"--tolerance is {tolerance}; expected nats per datum above zero: leave it out for 1e-3"
        )
    key = key_of(seed)
    choices = parse_choices(inference, globals_, optimiser, restarts)
    problem = read_problem(model, data, set_, local, out)
    fitted, seconds = fit_problem(problem, key, choices)
    typer.echo(describe_end(fitted, seconds))
    diagnosis = amortis.diagnose(
        fitted, key=jax.random.fold_in(key, 1), draws=draws, tolerance=tolerance
    )
    typer.echo(f"\n{diagnosis}")
    if problem.folder is not None:
        content = diagnosis.to_dict() | {"model": model, "data": list(data), "set": problem.plain}
        content |= {"seed": seed, "status": fitted.status.name}
        write_json(problem.folder / "diagnosis.json", content)
        page = amortis.report(fitted, diagnosis, path=problem.folder / "report.html")
        typer.echo(f"\nwritten to {problem.folder}: diagnosis.json, {page.name}")
    return exit_code(fitted.status)
