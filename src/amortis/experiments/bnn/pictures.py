"""The images of a schedule: those that are fitted, and those that are not."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float

from amortis._errors import DataError
from amortis.data import FASHION_MNIST, MNIST, LabelledImages, Part, load_images
from amortis.experiments.bnn.settings import BnnSchedule

_SOURCES = {"fashion_mnist": FASHION_MNIST, "mnist": MNIST}
_PARTS = {"train": Part.TRAIN, "test": Part.TEST}


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Images as rows of pixels in [0, 1].

    Attributes:
        title: which images.
        training: those that are fitted, shape (N, pixels).
        held_out: those that are not, shape (M, pixels); M may be zero.
        height: pixels of a column; rows of pixels are laid end to end.
    """

    title: str
    training: Float[np.ndarray, "n pixels"]
    held_out: Float[np.ndarray, "m pixels"]
    height: int


def read_pictures(schedule: BnnSchedule, folder: Path | None = None) -> Pictures:
    """Read the images of a schedule, fetching them where they are published only.

    Args:
        schedule: which images.
        folder: where the files are; see `load_images`.

    Returns:
        The images, in the order of the files.

    Raises:
        DataError: fewer images than the schedule takes, or none to be had; see `load_images`.
    """
    source = _SOURCES[schedule.data]
    same = schedule.part == schedule.held_out_part
    wanted = schedule.training + (schedule.held_out if same else 0)

    def part(name: str, at_least: int) -> LabelledImages:
        found = load_images(source, _PARTS[name], folder=folder, at_least=at_least, progress=_told)
        if len(found.pixels) < at_least:
            raise DataError(
                f"'{found.origin}' has {len(found.pixels)} images of {source.title}, but the "
                f"schedule {schedule.name!r} takes {at_least}; expected as many: name a folder "
                f"with the full set, or a shorter schedule"
            )
        return found

    first = part(schedule.part, wanted)
    rows = _rows(first)
    training, rest = rows[: schedule.training], rows[schedule.training :]
    if schedule.held_out and not same:
        rest = _rows(part(schedule.held_out_part, schedule.held_out))
    return Pictures(source.title, training, rest[: schedule.held_out], first.pixels.shape[1])


def _rows(found: LabelledImages) -> Float[np.ndarray, "n pixels"]:
    flat = found.pixels.reshape(len(found.pixels), -1)
    return flat.astype(np.float32) / np.float32(255.0)


def _told(name: str, done: int, total: int | None) -> None:
    """Progress of a download on standard error, one line that is written over."""
    share = f" of {total / 1e6:.1f}" if total else ""
    end = "\n" if done == total else "\r"
    print(f"fetching {name}: {done / 1e6:.1f}{share} MB", end=end, file=sys.stderr, flush=True)
