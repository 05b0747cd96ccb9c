"""`amortis reproduce iterative` and `iterative-two-levels`: functions that learn to optimise."""

from collections.abc import Mapping
from pathlib import Path

import jax
import typer

from amortis._errors import ArgumentError
from amortis.cli.choices import nearest, require_at_least
from amortis.cli.exit_codes import ExitCode
from amortis.cli.output import prepare_folder
from amortis.experiments.binarised import binarised_mnist
from amortis.experiments.iterative import FULL, SHORT, iterative_sheet, run_iterative
from amortis.experiments.reproduction import require_pictures
from amortis.experiments.sheet import write_sheet
from amortis.report import text_table

ITERATIVE: dict[str, int] = {"iterative": 1, "iterative-two-levels": 2}
"""The experiments by their names on the command line, with their levels of latents."""

_SIZES = {"short": SHORT, "full": FULL}


def reproduce_iterative(
    experiment: str,
    schedule: str,
    seed: int,
    out: Path,
    data: Path | None,
    others: Mapping[str, object],
) -> int:
    """Run the experiment, or what of it is missing, and write its page.

    Args:
        experiment: one of `ITERATIVE`.
        schedule: short, within twenty minutes on two cores; or full.
        seed: of the random key.
        out: folder; the experiment's files go to a folder of its name.
        data: folder of the images; see `load_images`.
        others: options by name that mean nothing here, if they were given.

    Returns:
        The exit code.

    Raises:
        ArgumentError: there is no such schedule, an option means nothing here, or the folder cannot
            be written.
        DataError: the images are not there, and cannot be fetched.
        MissingDependencyError: matplotlib is not installed.
    """
    name = experiment.strip().casefold()
    for option, value in others.items():
        if value:
            raise ArgumentError(
                f"--{option} is given beside the experiment '{name}'; expected --schedule, --seed, "
                f"--data and --out only: leave it out"
            )
    require_at_least("--seed", seed, 0, "leave it out for 0")
    chosen = schedule.strip().casefold()
    if chosen not in _SIZES:
        raise ArgumentError(
            f"--schedule is '{schedule}' for {name}; expected {' or '.join(_SIZES)}: "
            f"{nearest(schedule, _SIZES)}"
        )
    require_pictures()
    size = _SIZES[chosen]
    images = binarised_mnist(size.training, size.held_out, data)
    folder = prepare_folder(prepare_folder(out) / name)
    kept = prepare_folder(folder / "fits")
    try:
        result = run_iterative(
            images, ITERATIVE[name], size, key=jax.random.key(seed), folder=kept, tell=_tell
        )
    except KeyboardInterrupt:
        _tell(
            f"interrupted; methods that are finished are in '{kept}': the same command goes on "
            f"from there"
        )
        return ExitCode.INTERRUPTED
    sheet = iterative_sheet(result, name)
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
