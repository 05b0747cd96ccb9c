"""`amortis reproduce gaussian-target`, `symmetry`, `stochastic`: experiments with known optima."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import typer

from amortis._errors import ArgumentError
from amortis._types import RandomKey
from amortis.cli.choices import nearest, require_at_least
from amortis.cli.exit_codes import ExitCode
from amortis.cli.output import prepare_folder
from amortis.experiments.gaussian_vi import (
    run_gaussian_target,
    run_stochastic,
    run_symmetry,
    stochastic_sheet,
    symmetry_sheet,
    target_sheet,
    write_sheet,
)
from amortis.experiments.gaussian_vi.gaussian_target import SHORT as SHORT_TARGET
from amortis.experiments.gaussian_vi.gaussian_target import TargetSize
from amortis.experiments.gaussian_vi.stochastic import SHORT as SHORT_STOCHASTIC
from amortis.experiments.gaussian_vi.stochastic import StochasticSize
from amortis.experiments.gaussian_vi.symmetry import SHORT as SHORT_SYMMETRY
from amortis.experiments.gaussian_vi.symmetry import SymmetrySize
from amortis.experiments.reproduction import require_pictures
from amortis.experiments.sheet import Sheet
from amortis.report import text_table

Run = Callable[[bool, RandomKey], Sheet]
"""Runs an experiment, short or in full."""


def _target(short: bool, key: RandomKey) -> Sheet:
    size = SHORT_TARGET if short else TargetSize()
    return target_sheet(run_gaussian_target(size, key=key, tell=_tell))


def _symmetry(short: bool, key: RandomKey) -> Sheet:
    size = SHORT_SYMMETRY if short else SymmetrySize()
    return symmetry_sheet(run_symmetry(size, key=key, tell=_tell))


def _stochastic(short: bool, key: RandomKey) -> Sheet:
    size = SHORT_STOCHASTIC if short else StochasticSize()
    return stochastic_sheet(run_stochastic(size, key=key, tell=_tell))


GAUSSIAN_VI: dict[str, Run] = {
    "gaussian-target": _target,
    "symmetry": _symmetry,
    "stochastic": _stochastic,
}
"""The experiments by their names on the command line."""

_SCHEDULES = ("short", "full")


def reproduce_gaussian_vi(
    experiment: str, schedule: str, seed: int, out: Path, others: Mapping[str, object]
) -> int:
    """Run an experiment of Gaussian variational inference, and write its page.

    Args:
        experiment: one of `GAUSSIAN_VI`.
        schedule: short, for a look in seconds; full, for all targets in minutes.
        seed: of the random key.
        out: folder; the experiment's files go to a folder of its name.
        others: options by name that mean nothing here, if they were given.

    Returns:
        The exit code.

    Raises:
        ArgumentError: there is no such schedule, an option means nothing here, or the folder cannot
            be written.
        MissingDependencyError: matplotlib is not installed.
    """
    name = experiment.strip().casefold()
    for option, value in others.items():
        if value:
            raise ArgumentError(
                f"--{option} is given beside the experiment '{name}'; expected --schedule, --seed "
                f"and --out only: leave it out"
            )
    require_at_least("--seed", seed, 0, "leave it out for 0")
    chosen = schedule.strip().casefold()
    if chosen not in _SCHEDULES:
        raise ArgumentError(
            f"--schedule is '{schedule}' for {name}; expected {' or '.join(_SCHEDULES)}: "
            f"{nearest(schedule, _SCHEDULES)}"
        )
    require_pictures()
    folder = prepare_folder(prepare_folder(out) / name)
    try:
        sheet = GAUSSIAN_VI[name](chosen == "short", jax.random.key(seed))
    except KeyboardInterrupt:
        _tell(f"interrupted at {name}; nothing was written")
        return ExitCode.INTERRUPTED
    options = "".join((f" --schedule {chosen}", f" --seed {seed}" if seed else ""))
    names = write_sheet(sheet, folder, f"amortis reproduce {name}{options}")
    typer.echo(f"\n{sheet.title}")
    for table in sheet.tables:
        typer.echo(f"\n{text_table(table.columns, table.rows)}")
    typer.echo("\n" + "\n".join(sheet.learned))
    typer.echo(f"\nwritten to {folder}: {', '.join(names)}")
    return ExitCode.DONE


def _tell(line: str) -> None:
    typer.echo(f"amortis: {line}", err=True)
