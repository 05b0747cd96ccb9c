"""What `--out DIR` gets: numbers, draws, moments and plots."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from amortis._errors import ArgumentError, MissingDependencyError
from amortis._types import RandomKey
from amortis.fitting import Fit
from amortis.report import plot_elbo, plot_globals, replacing
from amortis.report.numbers import Moments

_MOST_NUMBERS = 50_000_000
"""Numbers of one site in `draws.npz`; a site with more is left out, in favor of its moments."""

_BLOCK_NUMBERS = 20_000_000
"""Numbers drawn at once where only some sites are kept."""


def prepare_folder(path: Path, what: str = "--out") -> Path:
    """Make the folder for outputs, and refuse one that cannot be written before a fit is spent.

    Args:
        path: the folder; it and its parents are made if they are missing.
        what: the option that names it.

    Returns:
        The same path.

    Raises:
        ArgumentError: it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ArgumentError(
            f"{what} is '{path}', which cannot be made: a file is in the way; name another folder"
        ) from error
    except OSError as error:
        raise ArgumentError(
            f"{what} is '{path}', which cannot be made: {error.strerror or error}; name a folder "
            f"that can be written"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ArgumentError(
            f"{what} is '{path}', which cannot be written; name a folder that can be"
        )
    return path


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain data as JSON, whole or not at all.

    Args:
        path: the file.
        content: strings, finite numbers, None, lists and dictionaries.

    Raises:
        ArgumentError: the file cannot be written.
    """
    with replacing(path) as stream:
        stream.write((json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as NPZ, whole or not at all.

    Args:
        path: the file.
        arrays: by name.

    Raises:
        ArgumentError: the file cannot be written.
    """
    with replacing(path) as stream:
        np.savez(stream, **arrays)  # pyright: ignore


def posterior_draws(
    fit: Fit, moments: Moments, key: RandomKey, draws: int, most: int = _MOST_NUMBERS
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Draws of every site whose draws are not too many numbers.

    Args:
        fit: the fit.
        moments: from `fit.moments()`, for the sites' shapes.
        key: random key.
        draws: number of draws.
        most: numbers per site past which it is left out.

    Returns:
        By site, shape (draws, *shape of the site); and the sites left out.
    """
    sizes = {site: np.asarray(mean).size for site, (mean, _) in moments.items()}
    kept = [site for site, size in sizes.items() if size * draws <= most]
    left_out = tuple(site for site in sizes if site not in kept)
    if not kept:
        return {}, left_out
    if not left_out:
        every = fit.posterior(key=key, draws=draws)
        return {site: np.asarray(every[site]) for site in kept}, ()
    per_block = max(_BLOCK_NUMBERS // sum(sizes.values()), 1)
    blocks: list[dict[str, np.ndarray]] = []
    for i, start in enumerate(range(0, draws, per_block)):
        # All blocks have one length, and thus one compilation; the last is cut.
        block = fit.posterior(key=jax.random.fold_in(key, i), draws=per_block)
        blocks.append({site: np.asarray(block[site])[: draws - start] for site in kept})
    return {site: np.concatenate([b[site] for b in blocks]) for site in kept}, left_out


def local_moments(fit: Fit, moments: Moments) -> dict[str, np.ndarray]:
    """Means and standard deviations of the local sites, under names such as `z.mean` and `z.sd`."""
    arrays: dict[str, np.ndarray] = {}
    for site in fit.model.locals_:
        arrays[f"{site}.mean"], arrays[f"{site}.sd"] = (np.asarray(m) for m in moments[site])
    return arrays


def write_plots(fit: Fit, moments: Moments, folder: Path) -> tuple[list[str], str]:
    """Plot the ELBO over time and the globals, if matplotlib is installed.

    Args:
        fit: the fit.
        moments: from `fit.moments()`.
        folder: where the plots go.

    Returns:
        Names of the files written, and a hint where matplotlib is missing.
    """
    # Estimates, such as a network's weights, have no sds to draw.
    names = [name for name in fit.model.globals_ if name in moments]
    plots: dict[str, Callable[[Path], None]] = {}
    if np.isfinite(fit.history.objective).any():
        label = type(fit.guide.inference).__name__
        plots["elbo.png"] = lambda path: plot_elbo({label: fit.history}, path, size=fit.model.size)
    if names:
        plots["globals.png"] = lambda path: plot_globals({n: moments[n] for n in names}, path)
    try:
        for name, plot in plots.items():
            plot(folder / name)
    except MissingDependencyError as error:
        return [], str(error)
    return list(plots), ""
