"""What `amortis fit` prints: the model as it was understood, and what the fit found."""

import re
from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

from amortis import Estimate, Fit, GradientAscent, Iterative, LatentModel, cut_slopes
from amortis.cli.progress import duration
from amortis.report import Cell, Column, flat_entries, text_table
from amortis.report.numbers import Moments, global_moments

_MOST_ENTRIES = 4
"""Entries of a large global that are shown."""

_MOST_SITES = 12

_COLUMN = re.compile(r"\[[0-9]+\]\Z")


def describe_model(
    model: LatentModel, name: str, arguments: Collection[str], unused: Collection[str]
) -> str:
    """How a model was understood: its rows, latents and inputs.

    Args:
        model: the bound model.
        name: how the user named it.
        arguments: the arguments that data files gave.
        unused: arrays in the files that no argument uses.

    Returns:
        Lines of text.
    """
    columns = Counter(_COLUMN.sub("", column) for column in model.input_names)
    inputs = ", ".join(f"{of} ({n} columns)" if n > 1 else of for of, n in columns.items())
    lines = {
        "model": name,
        "data": ", ".join(arguments) + (f" (unused: {_some(unused)})" if unused else ""),
        "rows": f"{model.size}, along '{model.plate}'",
        "globals": _sites(model.globals_),
        "locals": f"{_sites(model.locals_)}, for each row",
        "inputs": inputs or "none",
    }
    return _pairs(lines)


def describe_fit(fit: Fit, elbo: Estimate, moments: Moments, seconds: float) -> str:
    """How a fit ended, what it reached and took, and the globals.

    Args:
        fit: the fit.
        elbo: its ELBO, in nats, total.
        moments: from `fit.moments()`.
        seconds: wall time, compilation included.

    Returns:
        Lines of text, the first one empty.
    """
    size = fit.model.size
    blocks = len(fit.history.seconds)
    history = fit.history
    work = f"{history.iterations[-1]} iterations, {history.draws[-1]} draws" if blocks else ""
    lines = {
        "status": str(fit.status),
        "ELBO": f"{elbo} ({elbo.mean / size:.5g} ± {elbo.se / size:.1g} nats per datum)",
        "function": f"{type(fit.guide.inference).__name__}, {fit.parameters} parameters in all",
        "time": f"{duration(seconds)}, compilation included" + (f"; {work}" if work else ""),
    }
    if isinstance(fit.guide.inference, Iterative | GradientAscent):
        lines["slopes"] = str(cut_slopes(fit))
    return "\n".join(["", _pairs(lines), *_globals(fit, moments)])


def describe_end(fit: Fit, seconds: float) -> str:
    """How a fit ended and what it took, where its results are not what was asked for.

    Args:
        fit: the fit.
        seconds: wall time, compilation included.

    Returns:
        Lines of text, the first one empty.
    """
    lines = {
        "status": str(fit.status),
        "function": f"{type(fit.guide.inference).__name__}, {fit.parameters} parameters in all",
        "time": f"{duration(seconds)}, compilation included",
    }
    return f"\n{_pairs(lines)}"


def _globals(fit: Fit, moments: Moments) -> list[str]:
    point = not fit.guide.global_family.is_density
    known = global_moments(fit, moments)
    sites = list(known)
    rows: list[list[Cell]] = []
    for site in sites[:_MOST_SITES]:
        if site in fit.model.starts and np.size(known[site][0]) > _MOST_ENTRIES + 1:
            # Weights of a network say nothing one by one.
            rows.append([f"{site}: {np.size(known[site][0])} values", None, None])
            continue
        entries = list(flat_entries(site, *known[site]))
        shown = entries if len(entries) <= _MOST_ENTRIES + 1 else entries[:_MOST_ENTRIES]
        rows += [[label, mean, None if point else sd] for label, mean, sd in shown]
        if len(shown) < len(entries):
            rows.append([f"{site}: {len(entries) - len(shown)} more", None, None])
    if len(sites) > _MOST_SITES:
        rows.append([f"{len(sites) - _MOST_SITES} more sites", None, None])
    if not rows:
        return []
    mean = Column("point estimate" if point else "mean")
    return ["", text_table([Column("global"), mean, Column("sd")], rows)]


def _sites(sites: Mapping[str, tuple[int, ...]]) -> str:
    shown = [f"{name} {_shape(shape)}".strip() for name, shape in list(sites.items())[:_MOST_SITES]]
    more = len(sites) - len(shown)
    return ", ".join([*shown, f"{more} more"] if more else shown) or "none"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) and f"({' x '.join(map(str, shape))})"


def _some(names: Collection[str]) -> str:
    shown = list(names)[:_MOST_ENTRIES]
    more = len(names) - len(shown)
    return ", ".join([*shown, f"{more} more"] if more else shown)


def _pairs(lines: Mapping[str, str]) -> str:
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())
