"""`amortis reproduce vae`: a variational autoencoder, and the inference gap of its encoder."""

from collections.abc import Mapping
from pathlib import Path

import jax
import typer

from amortis._errors import ArgumentError
from amortis.cli.choices import nearest, require_at_least
from amortis.cli.exit_codes import ExitCode
from amortis.cli.output import prepare_folder
from amortis.experiments.binarised import binarised_mnist
from amortis.experiments.reproduction import require_pictures
from amortis.experiments.vae import FULL, SHORT, run_vae, vae_sheet, write_sheet
from amortis.report import text_table

VAE = "vae"
"""Its name on the command line."""

_SCHEDULES = {"short": SHORT, "full": FULL}


def reproduce_vae(
    schedule: str, seed: int, out: Path, data: Path | None, others: Mapping[str, object]
) -> int:
    """Train on binarised digits, take the gap apart, and write the page.

    Args:
        schedule: short, for minutes; full, for hours.
        seed: of the random key.
        out: folder; the experiment's files go to `vae` in it.
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
    for option, value in others.items():
        if value:
            raise ArgumentError(
                f"--{option} is given beside the experiment '{VAE}'; expected --schedule, --seed, "
                f"--data and --out only: leave it out"
            )
    require_at_least("--seed", seed, 0, "leave it out for 0")
    chosen = schedule.strip().casefold()
    if chosen not in _SCHEDULES:
        raise ArgumentError(
            f"--schedule is '{schedule}' for {VAE}; expected {' or '.join(_SCHEDULES)}: "
            f"{nearest(schedule, _SCHEDULES)}"
        )
    require_pictures()
    size = _SCHEDULES[chosen]
    images = binarised_mnist(size.training, size.held_out, data)
    folder = prepare_folder(prepare_folder(out) / VAE)
    kept = prepare_folder(folder / "runs")
    try:
        found = run_vae(images, size, key=jax.random.key(seed), folder=kept, tell=_tell)
    except KeyboardInterrupt:
        _tell(f"interrupted; what is finished is in '{kept}': the same command goes on from there")
        return ExitCode.INTERRUPTED
    sheet = vae_sheet(*found)
    options = f" --schedule {chosen}" + (f" --seed {seed}" if seed else "")
    names = write_sheet(sheet, folder, f"amortis reproduce {VAE}{options}")
    typer.echo(f"\n{sheet.title}")
    for table in sheet.tables:
        typer.echo(f"\n{table.caption}\n\n{text_table(table.columns, table.rows)}")
    typer.echo("\n" + "\n".join(sheet.learned))
    typer.echo(f"\nwritten to {folder}: {', '.join(names)}")
    return ExitCode.DONE


def _tell(line: str) -> None:
    typer.echo(f"amortis: {line}", err=True)
