"""Which sites of a model lie along the rows, and which of their axes carries these."""

from typing import Any

from amortis.model.numpyro_sites import ModelSites
from amortis.model.plates import LocalAxis


def along_rows(plates: Any, leading: int | None, axis: LocalAxis) -> bool:
    """Whether a site, in these plates or with that leading length, lies along the rows."""
    if axis.dim is None:
        return not plates and leading == axis.size
    return axis.name in plates


def row_axis(name: str, found: ModelSites, axis: LocalAxis) -> int | None:
    """The axis of a latent's unconstrained value that carries the rows; None of observed sites."""
    info = found.latents.get(name)
    if info is None:
        return None
    return 0 if axis.dim is None else axis.dim - info.event_dim


def without_axis(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    """A shape without that axis."""
    assert axis is not None  # only latent sites come here
    position = axis % len(shape)
    return shape[:position] + shape[position + 1 :]
