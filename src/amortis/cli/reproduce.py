"""`amortis reproduce`: published experiments, with reference, result and ratio side by side."""

import dataclasses
import math
from pathlib import Path
from typing import Annotated, Any, Protocol

import jax
import typer

from amortis._errors import ArgumentError
from amortis._types import RandomKey
from amortis.cli.choices import nearest, require_at_least
from amortis.cli.exit_codes import ExitCode
from amortis.cli.output import prepare_folder, write_json
from amortis.cli.progress import progress_display
from amortis.experiments import hmm, linear, nonlinear, saw
from amortis.experiments.comparison import MonitorFor, Reproduction, Setting
from amortis.report import Cell, Column, markdown_table, replacing, text_table

COLUMNS = (
    Column("what"),
    Column("quantity"),
    Column("reference", form=".8g"),
    Column("result", form=".8g"),
    Column("ratio", form=".5f"),
    Column("difference", form=".4g"),
    Column("time", "s", ".1f"),
    Column("note"),
)


class Run(Protocol):
    """What an experiment offers to this command."""

    def __call__(
        self,
        setting: Setting,
        *,
        key: RandomKey,
        seeds: int = 1,
        monitor_for: MonitorFor | None = None,
    ) -> Reproduction:
        """Run the experiment at a setting, over a number of seeds."""
        ...


EXPERIMENTS: dict[str, Run] = {
    "linear": linear.run,
    "nonlinear": nonlinear.run,
    "saw": saw.run,
    "hmm": hmm.run,
}


def reproduce(
    experiment: Annotated[str, typer.Argument(help=f"{' or '.join(EXPERIMENTS)}.")],
    as_: Annotated[
        str, typer.Option("--as", help="paper: as it is stated; code: as its authors ran it.")
    ] = "paper",
    seeds: Annotated[int, typer.Option(help="Runs with different random numbers.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the first run.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the table as JSON and Markdown.")
    ] = None,
) -> int:
    """Run a published experiment and print reference, result and ratio side by side."""
    name = experiment.casefold()
    if name not in EXPERIMENTS:
        raise ArgumentError(
            f"there is no experiment '{experiment}'; {nearest(experiment, EXPERIMENTS)}"
        )
    settings = {setting.value: setting for setting in Setting}
    if as_.casefold() not in settings:
        raise ArgumentError(f"--as is '{as_}'; expected paper or code: {nearest(as_, settings)}")
    require_at_least("--seeds", seeds, 1, "leave it out for 1")
    require_at_least("--seed", seed, 0, "leave it out for 0")
    folder = None if out is None else prepare_folder(out)
    with progress_display() as display:
        found = EXPERIMENTS[name](
            settings[as_.casefold()],
            key=jax.random.key(seed),
            seeds=seeds,
            monitor_for=display.monitor_for,
        )
    rows = comparison_rows(found)
    typer.echo(f"{found.title}\n\n{text_table(COLUMNS, rows)}")
    if found.remark:
        typer.echo(f"\n{found.remark}")
    if folder is not None:
        stem = f"{name}-{as_.casefold()}"
        write_json(folder / f"{stem}.json", as_plain(found))
        with replacing(folder / f"{stem}.md") as stream:
            stream.write(f"{markdown_table(COLUMNS, rows)}\n".encode())
        typer.echo(f"\nwritten to {folder}: {stem}.json, {stem}.md")
    return ExitCode.DONE


def comparison_rows(found: Reproduction) -> list[list[Cell]]:
    """The lines of a reproduction as rows of a table; what is not known is None."""
    return [
        [
            line.name,
            line.quantity,
            _known(line.reference),
            _known(line.result),
            _known(line.ratio),
            _known(line.difference),
            _known(line.seconds),
            line.note,
        ]
        for line in found.lines
    ]


def as_plain(found: Reproduction) -> dict[str, Any]:
    """A reproduction as plain data for JSON."""
    lines = [
        {key: _known(value) for key, value in dataclasses.asdict(line).items()}
        | {"ratio": _known(line.ratio), "difference": _known(line.difference)}
        for line in found.lines
    ]
    return {"title": found.title, "remark": found.remark, "lines": lines}


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
