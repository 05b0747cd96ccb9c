"""Images of zeros and ones: MNIST, every pixel drawn once with its intensity as probability."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from amortis._errors import DataError
from amortis.data import MNIST, Part, load_images

_SEED = 2007
"""Of the drawing, the same for whoever asks."""


@dataclasses.dataclass(frozen=True)
class Binarised:
    """Images as rows of pixels, zero or one.

    Attributes:
        training: those that are fitted, shape (N, pixels).
        held_out: those that are not, shape (M, pixels).
        labels: digits of the held-out images.
        height: pixels of a column; rows of pixels are laid end to end.
    """

    training: Float[np.ndarray, "n pixels"]
    held_out: Float[np.ndarray, "m pixels"]
    labels: Int[np.ndarray, " m"]
    height: int


def binarised_mnist(training: int, held_out: int, folder: Path | None = None) -> Binarised:
    """The first images of MNIST's test set, and the last ones held out.

    Args:
        training: images to fit.
        held_out: images not to fit.
        folder: where the files are; see `load_images`.

    Raises:
        DataError: fewer images, or none to be had; see `load_images`.

    References:
        Salakhutdinov & Murray, *On the quantitative analysis of deep belief networks* (2008), who
        draw each pixel once.
    """
    found = load_images(MNIST, Part.TEST, folder=folder, at_least=training + held_out)
    if len(found.pixels) < training + held_out:
        raise DataError(
            f"'{found.origin}' has {len(found.pixels)} images; expected {training + held_out}: "
            f"name a folder with the full set"
        )
    shares = found.pixels.reshape(len(found.pixels), -1) / 255.0
    drawn = (np.random.default_rng(_SEED).random(shares.shape) < shares).astype(np.float32)
    rest = slice(len(drawn) - held_out, None)
    labels = found.labels[rest].astype(np.int64)
    return Binarised(drawn[:training], drawn[rest], labels, found.pixels.shape[1])
