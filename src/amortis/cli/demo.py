"""`amortis demo`: the main job on synthetic and on real data, beside closed forms."""

import math
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import typer
from jaxtyping import Float

from amortis._errors import MissingDependencyError
from amortis.cli.comparison_table import COLUMNS, comparison_rows
from amortis.cli.exit_codes import ExitCode, exit_code
from amortis.cli.output import prepare_folder
from amortis.cli.progress import ProgressDisplay, progress_display
from amortis.experiments import linear
from amortis.experiments.comparison import MonitorFor, Setting
from amortis.experiments.digits import LATENTS, DigitsResult
from amortis.experiments.digits import run as run_digits
from amortis.report import Cell, Column, plot_elbo, plot_images, text_table

_SHOWN = 10
"""Digits in the plot of reconstructions."""

_DIGITS_COLUMNS = (
    Column("inference"),
    Column("ELBO", "nats", ".2f"),
    Column("as sampled", "nats"),
    Column("below evidence", "nats per datum", ".4f"),
    Column("noise sd", form=".4f"),
    Column("parameters"),
    Column("time", "s", ".1f"),
    Column("status"),
)


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the plots.")] = Path(
        "amortis-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
) -> int:
    """Fit a linear model and real images, beside their closed forms; about a minute."""
    folder = prepare_folder(out)
    key = jax.random.key(seed)
    with progress_display() as display:
        found = linear.run(Setting.PAPER, key=key, monitor_for=_named("linear", display))
    typer.echo(f"\n1. {found.title}\n\n{text_table(COLUMNS, comparison_rows(found))}\n")
    with progress_display() as display:
        digits = run_digits(key=key, monitor_for=_named("digits", display))
    rows, columns = digits.images.shape
    exact = digits.exact
    typer.echo(
        f"\n2. {rows} digits of {columns} pixels by probabilistic PCA with {LATENTS} latents\n"
        f"   exact (Tipping & Bishop 1999): log evidence {exact.log_likelihood:.2f} nats, noise sd "
        f"{exact.noise_sd:.4f}\n\n{text_table(_DIGITS_COLUMNS, digits_rows(digits))}\n"
    )
    _plot(digits, folder)
    codes = [exit_code(one.fit.status) for one in digits.fits]
    return max(codes, default=ExitCode.DONE)


def digits_rows(digits: DigitsResult) -> list[list[Cell]]:
    """One row per fit of the digits, for `_DIGITS_COLUMNS`."""
    exact, size = digits.exact.log_likelihood, len(digits.images)
    return [
        [
            one.name,
            one.exact_elbo,
            f"{one.elbo.mean:.2f} ± {one.elbo.se:.2f}",
            (exact - one.exact_elbo) / size,
            one.noise_sd,
            one.fit.parameters,
            one.seconds,
            one.fit.status.name,
        ]
        for one in digits.fits
    ]


def plot_digits(digits: DigitsResult, folder: Path) -> tuple[str, ...]:
    """Plot the ELBO of the fits against time, and their reconstructions of some digits.

    Args:
        digits: the fits.
        folder: where the plots go.

    Returns:
        Names of the files written.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    plot_elbo(
        {one.name: one.fit.history for one in digits.fits},
        folder / "digits_elbo.png",
        reference=("exact log evidence", digits.exact.log_likelihood),
        size=len(digits.images),
        title=f"Digits, probabilistic PCA with {LATENTS} latents",
    )
    rows = {
        "data": digits.images,
        "exact posterior mean": digits.exact.reconstruction,
        **{one.name: one.reconstruction for one in digits.fits},
    }
    plot_images(
        {label: _as_images(images[:_SHOWN]) for label, images in rows.items()},
        folder / "digits_reconstructions.png",
    )
    return "digits_elbo.png", "digits_reconstructions.png"


def _plot(digits: DigitsResult, folder: Path) -> None:
    try:
        names = plot_digits(digits, folder)
    except MissingDependencyError as error:
        typer.echo(str(error))
    else:
        typer.echo(f"plots in {folder}: {', '.join(names)}")


def _as_images(flat: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n side side"]:
    side = math.isqrt(flat.shape[1])
    return flat.reshape(-1, side, side)


def _named(prefix: str, display: ProgressDisplay) -> MonitorFor:
    return lambda name: display.monitor_for(f"{prefix}, {name}")
