"""`amortis check`: whether amortization can match factorized inference, without fitting."""

import enum
import json
from pathlib import Path
from typing import Annotated

import typer

import amortis
from amortis._errors import MissingDependencyError
from amortis.cli.arguments import parse_set, read_data
from amortis.cli.load_model import load_model, naming_the_line
from amortis.cli.model_options import DataFiles, LocalName, ModelPlace, PlainArguments
from amortis.cli.output import prepare_folder, write_json
from amortis.report import plot_verdict, replacing, verdict_graph


class AnswerCode(enum.IntEnum):
    """The answer as an exit code; 2 is left to what is refused, as in `ExitCode`."""

    YES = 0
    NO = 1
    NOT_DECIDED = 3


def check(
    model: ModelPlace,
    data: DataFiles,
    set_: PlainArguments = None,
    local: LocalName = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the verdict as JSON, and nothing else.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the verdict and its drawing.")
    ] = None,
) -> int:
    """Say whether one inference function can be ideal for all rows, and what it has to read.

    Exit codes: 0 yes, 1 no, 3 not decided; 2 is bad usage or bad input, as everywhere.

    For example: amortis check examples/linear.py:model --data rows.csv
    """
    function = load_model(model)
    plain = parse_set(function, set_ or [])
    arrays, _ = read_data(function, data, plain)
    folder = None if out is None else prepare_folder(out)
    with naming_the_line(model):
        verdict = amortis.check(function, local=local, **(arrays | plain))
    if as_json:
        typer.echo(json.dumps(verdict.to_dict(), indent=2, allow_nan=False))
    else:
        typer.echo(str(verdict))
    if folder is not None:
        typer.echo(_write(verdict, folder), err=as_json)
    return answer_code(verdict)


def answer_code(verdict: amortis.Verdict) -> AnswerCode:
    """The exit code for a verdict.

    Args:
        verdict: what was found.

    Returns:
        `YES` if there is an ideal inference function, `NO` if not, else `NOT_DECIDED`.
    """
    if verdict.answer is None:
        return AnswerCode.NOT_DECIDED
    return AnswerCode.YES if verdict.answer else AnswerCode.NO


def _write(verdict: amortis.Verdict, folder: Path) -> str:
    """Write the verdict and its drawing; return what is to be said about it."""
    write_json(folder / "verdict.json", verdict.to_dict())
    with replacing(folder / "graph.svg") as stream:
        stream.write(verdict_graph(verdict).encode())
    names, hint = ["verdict.json", "graph.svg"], ""
    try:
        plot_verdict(verdict, folder / "graph.png")
        names.append("graph.png")
    except MissingDependencyError as error:
        hint = f"\n{error}"
    return f"\nwritten to {folder}: {', '.join(names)}{hint}"
