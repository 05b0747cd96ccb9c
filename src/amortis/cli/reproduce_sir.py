"""`amortis reproduce sir`: every family of q beside the exact posterior and printed tables."""

from collections.abc import Mapping
from pathlib import Path

import jax
import typer

from amortis._errors import ArgumentError
from amortis.cli.choices import require_at_least
from amortis.cli.exit_codes import ExitCode
from amortis.cli.output import prepare_folder
from amortis.experiments.reproduction import require_pictures
from amortis.experiments.sir import (
    SEEDS,
    run_sir,
    summary_text,
    write_figures,
    write_json,
    write_page,
)

SIR = "sir"
"""Its name on the command line."""


def reproduce_sir(seeds: int | None, seed: int, out: Path, others: Mapping[str, object]) -> int:
    """Run the experiment, and write its page, pictures and numbers.

    Args:
        seeds: mean-field fits; None for ten.
        seed: of the random key of all other fits.
        out: folder; the files go to `sir` in it.
        others: options by name that mean nothing here, if they were given.

    Returns:
        The exit code.

    Raises:
        ArgumentError: an option means nothing here, or the folder cannot be written.
        MissingDependencyError: diffrax, or what a family needs, is not installed.
    """
    for option, value in others.items():
        if value:
            raise ArgumentError(
                f"--{option} is given beside the experiment '{SIR}'; expected --seeds, --seed and "
                f"--out only: leave it out"
            )
    count = SEEDS if seeds is None else seeds
    require_at_least("--seeds", count, 1, "leave it out for ten")
    require_at_least("--seed", seed, 0, "leave it out for 0")
    require_pictures()
    folder = prepare_folder(prepare_folder(out) / SIR)
    try:
        result = run_sir(key=jax.random.key(seed), seeds=count, tell=_tell)
    except KeyboardInterrupt:
        _tell("interrupted: nothing is kept of this experiment, which takes a few minutes")
        return ExitCode.INTERRUPTED
    write_json(result, folder / "sir.json")
    pictures = write_figures(result, folder)
    write_page(result, folder / "sir.md", pictures)
    names = ["sir.json", "sir.md", *(picture.name for picture in pictures)]
    typer.echo(f"\n{summary_text(result)}\n\nwritten to {folder}: {', '.join(names)}")
    return ExitCode.DONE


def _tell(line: str) -> None:
    typer.echo(f"amortis: {line}", err=True)
