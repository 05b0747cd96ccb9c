"""Pictures of the experiment: the gaps as bars, and images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from amortis.experiments.vae.gap import Gap
from amortis.report.matplotlib_import import new_figure

_SHADES = ("#08306B", "#3182BD", "#9ECAE1", "#E69F00")
"""Of the terms in their order; the amortization gap is the last and stands out."""


def gap_figure(gaps: Sequence[Gap]) -> Any:
    """The terms of the inference gap stacked, one bar for each kind of images.

    Args:
        gaps: on images of each kind, with the same terms.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(7.0, 0.9 + 0.65 * len(gaps))
    axes = figure.subplots()
    names = [gap.images for gap in gaps]
    left = np.zeros(len(gaps))
    shades = (*_SHADES[: len(gaps[0].terms) - 1], _SHADES[-1])
    for i, shade in enumerate(shades):
        terms = [gap.terms[i] for gap in gaps]
        # A gap that draws leave a little below zero is none.
        wide = np.maximum([term.mean for term in terms], 0.0)
        bars = axes.barh(names, wide, left=left, color=shade, height=0.6, label=terms[0].name)
        labels = [f"{term.mean:.2f}" if term.mean > 0.5 else "" for term in terms]
        color = "black" if i >= 2 else "white"
        axes.bar_label(bars, labels, label_type="center", fontsize=8, color=color)
        left = left + wide
    axes.invert_yaxis()
    axes.set_xlabel("nats per image below the log evidence", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def image_figure(rows: Mapping[str, Float[np.ndarray, "n height width"]]) -> Any:
    """Images in rows, each with its label, white to black from zero to one.

    Args:
        rows: by label, as many images each.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    count = max(len(images) for images in rows.values())
    figure = new_figure(1.0 + 0.62 * count, 0.1 + 0.66 * len(rows))
    grid = figure.subplots(len(rows), count, squeeze=False)
    for cells, (label, images) in zip(grid, rows.items(), strict=True):
        for axes in cells:
            axes.set_axis_off()
        for axes, image in zip(cells, images, strict=False):
            axes.imshow(image, cmap="gray_r", vmin=0.0, vmax=1.0, interpolation="nearest")
        where = {"transform": cells[0].transAxes, "ha": "right", "va": "center"}
        cells[0].text(-0.15, 0.5, label, fontsize=8, **where)
    return figure
