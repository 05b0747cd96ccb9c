"""`amortis reproduce bnn`: the Bayesian neural network, whose numbers are errors, not losses."""

from collections.abc import Sequence
from pathlib import Path

import jax
import typer

from amortis.cli.choices import require_at_least
from amortis.cli.comparison_table import COLUMNS, comparison_rows
from amortis.cli.output import prepare_folder
from amortis.cli.progress import progress_display
from amortis.experiments.bnn import BnnResult, run_bnn, write_figures
from amortis.experiments.bnn.pictures import read_pictures
from amortis.experiments.bnn.settings import read_bnn_settings
from amortis.experiments.reproduction import require_pictures
from amortis.report import markdown_table, replacing, text_table

BNN = "bnn"
"""Its name on the command line."""

_BARS = 4


Done = tuple[BnnResult, list[Path]]
"""A schedule that was run, and its files."""


def require_images(schedules: Sequence[str], data: Path | None) -> None:
    """Refuse schedules whose images are not to be had, before anything is run.

    Args:
        schedules: their names.
        data: folder of the images; see `load_images`.

    Raises:
        ArgumentError: there is no such schedule.
        DataError: the images are not there, and cannot be fetched.
    """
    settings = read_bnn_settings()
    for name in schedules:
        read_pictures(settings.schedule(name), data)


def reproduce_bnn(
    schedule: str, seeds: int | None, seed: int, out: Path, data: Path | None = None
) -> Done | None:
    """Fit the images of a schedule, or what of it is missing, and write its files.

    Args:
        schedule: published, short or mnist.
        seeds: fits per method; None for what the schedule says.
        seed: of the first fit.
        out: folder for tables, pictures and fits.
        data: folder of the images; see `load_images`.

    Returns:
        The fits and the files; None where it was interrupted.

    Raises:
        ArgumentError: there is no such schedule, or the folder cannot be written.
        DataError: the images are not there, and cannot be fetched.
    """
    if seeds is not None:
        require_at_least("--seeds", seeds, 1, "leave it out for what the settings say")
    require_at_least("--seed", seed, 0, "leave it out for 0")
    name = schedule.strip().casefold()
    read_bnn_settings().schedule(name)
    require_pictures()
    folder = prepare_folder(prepare_folder(out) / BNN)
    try:
        with progress_display(keep=_BARS) as display:
            result = run_bnn(
                name,
                key=jax.random.key(0),
                seeds=seeds,
                first_seed=seed,
                monitor_for=display.monitor_for,
                data=data,
                out=folder,
            )
    except KeyboardInterrupt:
        typer.echo(
            f"amortis: interrupted; what is finished is in '{folder}': the same command goes on "
            f"from there",
            err=True,
        )
        return None
    found = result.reproduction()
    rows = comparison_rows(found)
    files = write_figures(result, folder)
    with replacing(folder / f"bnn-{name}.md") as stream:
        stream.write(f"{markdown_table(COLUMNS, rows)}\n\n{found.remark}\n".encode())
    typer.echo(f"\n{found.title}\n\n{text_table(COLUMNS, rows)}\n\n{found.remark}")
    names = [*(path.name for path in files), f"bnn-{name}.md"]
    typer.echo(f"\nwritten to {folder}: {', '.join(names)}")
    return result, files
