"""Figures 5 and 9, reconstructions, and the numbers behind them as CSV."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from amortis.data import replacing
from amortis.experiments.bnn.fits import BnnResult
from amortis.experiments.bnn.one_fit import BnnRun
from amortis.report.matplotlib_import import new_figure

_COLORS = ("black", "tab:gray", "tab:purple", "tab:blue", "tab:green", "tab:orange")


def write_figures(result: BnnResult, folder: Path) -> list[Path]:
    """Write the paths as CSV, and the figures as PNG.

    Args:
        result: a schedule that was run.
        folder: where to; it must exist.

    Returns:
        The files.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        ArgumentError: the folder cannot be written.
    """
    stem = f"bnn-{result.schedule.name}"
    files = {f"{stem}-paths.csv": _csv(result).encode()}
    files[f"{stem}-mse.png"] = _png(_errors(result))
    files[f"{stem}-reconstructions.png"] = _png(_reconstructions(result))
    for name, content in files.items():
        with replacing(folder / name) as stream:
            stream.write(content)
    return [folder / name for name in files]


def _csv(result: BnnResult) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("method", "seed", "epoch", "seconds", "elbo", "mse", "held_out_mse"))
    for name, seed, run in _all(result):
        columns = (run.epochs, run.seconds, run.elbo, run.training_mse, run.held_out_mse)
        for values in zip(*columns, strict=True):
            writer.writerow((name, seed, *(f"{float(value):.9g}" for value in values)))
    return text.getvalue()


def _all(result: BnnResult) -> Iterator[tuple[str, int, BnnRun]]:
    for name, runs in result.runs.items():
        for seed, run in enumerate(runs):
            yield name, seed, run


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _figure(width: float, height: float, rows: int, columns: int) -> tuple[Any, Any]:
    figure = new_figure(width, height)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _errors(result: BnnResult) -> Any:
    """Training and held-out errors against epochs and seconds."""
    kinds = ["training_mse", "held_out_mse"] if result.schedule.held_out else ["training_mse"]
    figure, axes = _figure(10.0, 3.6 * len(kinds) + 0.4, len(kinds), 2)
    names = list(result.settings.methods)
    for row, kind in zip(axes, kinds, strict=True):
        for axis, times, label in zip(
            row, ("epochs", "seconds"), ("epochs", "seconds of steps"), strict=True
        ):
            for name, seed, run in _all(result):
                errors = getattr(run, kind)
                if np.isfinite(errors).any():
                    axis.plot(
                        getattr(run, times),
                        errors,
                        color=_COLORS[names.index(name) % len(_COLORS)],
                        linewidth=1.6 if name == names[0] else 1.2,
                        label=name if seed == 0 else None,
                    )
            axis.set(xlabel=label, yscale="log")
            axis.grid(alpha=0.3)
        row[0].set_ylabel("MSE" if kind == "training_mse" else "MSE of held-out images")
        row[1].legend(frameon=False, fontsize=8)
    count, title = len(result.pictures.training), result.pictures.title
    figure.suptitle(f"{title}, {count} images: reconstruction error while fitting")
    return figure


def _reconstructions(result: BnnResult) -> Any:
    """The first images of both kinds, and what each method makes of them."""
    pictures = result.pictures
    shown = {name: runs[0] for name, runs in result.runs.items()}
    few = len(next(iter(shown.values())).training_shown)
    lines = [("images", pictures.training[:few], pictures.held_out[:few])]
    lines += [(name, run.training_shown, run.held_out_shown) for name, run in shown.items()]
    columns = few * (2 if len(pictures.held_out) else 1)
    figure, axes = _figure(0.8 * columns + 1.2, 0.86 * len(lines) + 0.5, len(lines), columns)
    for row, (name, training, held_out) in zip(axes, lines, strict=True):
        cells = [*training, *held_out, *[None] * (columns - len(training) - len(held_out))]
        for axis, pixels in zip(row, cells, strict=True):
            axis.set(xticks=[], yticks=[])
            axis.set_frame_on(False)
            if pixels is not None:
                image = np.asarray(pixels).reshape(pictures.height, -1)
                axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    if columns > few:
        axes[0][0].set_title("training", loc="left", fontsize=9)
        axes[0][few].set_title("held out", loc="left", fontsize=9)
    return figure
