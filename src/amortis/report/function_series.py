r"""The function's factor of each row beside the row's own optimum, $f(x_n)$ against $\nu_n$."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from amortis.fitting import Fit, optimal_rows, row_noise
from amortis.report.markup import shown_name
from amortis.report.panel import Hue, Line, Panel, Points, axis
from amortis.report.row_sample import RowSample
from amortis.report.ticks import number

_MOST_NUMBERS, _FEWEST_ROWS = 1500, 100
"""Rows times squared latents per row whose optima are looked for: seconds, not minutes."""

_LEAST = 0.05
"""Length of an axis in posterior sds, or of log sds: less is not worth a picture."""

_MOST_LATENTS = 2
"""Latents of a row that are drawn."""


@dataclasses.dataclass(frozen=True)
class FunctionValues:
    """Factors of some rows: the function's, and the best of the same family.

    Attributes:
        place: positions of the rows in the sample.
        names: one per latent of a row.
        mean: the function's means, on the unconstrained scale.
        log_sd: logarithms of the function's standard deviations.
        best_mean: means of the rows' own optima.
        best_log_sd: logarithms of their standard deviations.
        settled: whether a row's optimum was found.
        inputs: the one column that the function reads; None where it reads none or several.
        input_name: its name.
    """

    place: Int[np.ndarray, " shown"]
    names: tuple[str, ...]
    mean: Float[np.ndarray, "shown d"]
    log_sd: Float[np.ndarray, "shown d"]
    best_mean: Float[np.ndarray, "shown d"]
    best_log_sd: Float[np.ndarray, "shown d"]
    settled: Bool[np.ndarray, " shown"]
    inputs: Float[np.ndarray, " shown"] | None
    input_name: str


def function_values(fitted: Fit, sample: RowSample) -> FunctionValues | None:
    r"""Look for the own optimum of some rows, with $q(\theta)$ held.

    The expectations are taken on fixed draws, spread evenly, that are the same for every page; see
    `optimal_rows`.

    Args:
        fitted: the fit.
        sample: rows to choose from; evenly thinned where a row has many latents.

    Returns:
        Both factors of each row; None where rows cannot be evaluated apart.
    """
    model, guide = fitted.model, fitted.guide
    dimension = guide.z.dimension
    if not model.separable or not dimension:
        return None
    most = max(_MOST_NUMBERS // dimension**2, _FEWEST_ROWS)
    place = np.arange(len(sample.rows))
    if len(place) > most:
        place = np.unique(np.linspace(0, len(place) - 1, most).astype(int))
    rows = sample.rows[place]
    index = None if len(rows) == model.size else jnp.asarray(rows)
    raw = guide.fitted_raw(fitted.variational, index)
    noise = row_noise(guide, jax.random.key(0), len(rows))
    found = optimal_rows(model, guide, fitted.variational, raw, noise, index)
    moments = jax.vmap(guide.local_family.moments)
    (mean, sd), (best_mean, best_sd) = moments(raw), moments(found.raw)
    one = model.inputs.shape[1] == 1
    with np.errstate(divide="ignore"):  # sds that are zero in single precision
        log_sd, best_log_sd = (np.log(np.asarray(s, np.float64)) for s in (sd, best_sd))
    return FunctionValues(
        place=place,
        names=tuple(_entry_names(guide.z.shapes)),
        mean=np.asarray(mean, np.float64),
        log_sd=log_sd,
        best_mean=np.asarray(best_mean, np.float64),
        best_log_sd=best_log_sd,
        settled=np.asarray(found.settled),
        inputs=np.asarray(model.inputs, np.float64)[rows, 0] if one else None,
        input_name=model.input_names[0] if one else "",
    )


@np.errstate(over="ignore", invalid="ignore")  # factors of a fit that diverged are infinite
def function_panels(values: FunctionValues, note: str = "") -> tuple[Panel, ...]:
    """Draw the function beside the rows' own optima.

    Args:
        values: both factors of each row.
        note: which rows are shown.

    Returns:
        For each of the first two latents: mean and log sd against the input, where the function
        reads one column, and against their optimum.
    """
    left_out = len(values.names) - _MOST_LATENTS
    if left_out > 0:
        note = f"{note} The first {_MOST_LATENTS} of {len(values.names)} latents are shown.".strip()
    panels: list[Panel] = []
    for j, name in enumerate(values.names[:_MOST_LATENTS]):
        shown = shown_name(name)
        least = _LEAST * float(np.exp(np.median(values.best_log_sd[:, j])))
        pairs = (
            _Pair(f"mean of {shown}", values.mean[:, j], values.best_mean[:, j], least),
            _Pair(f"log sd of {shown}", values.log_sd[:, j], values.best_log_sd[:, j], _LEAST),
        )
        if values.inputs is not None:
            panels += [_against_input(values, pair, note) for pair in pairs]
        panels += [_against_optimum(values, pair, note) for pair in pairs]
    return tuple(panels)


class _Pair(NamedTuple):
    """A parameter of the factors, by the function and at the optimum."""

    what: str
    function: Float[np.ndarray, " shown"]
    best: Float[np.ndarray, " shown"]
    least: float


def _against_optimum(values: FunctionValues, pair: _Pair, note: str) -> Panel:
    what, function, best, least = pair
    around = axis("", function, best, least=least)
    ends = np.array([around.low, around.high])
    diagonal = Line(ends, ends, "function and optimum agree", Hue.QUIET, dashed=True)
    apart = np.abs(function - best)
    apart = apart[np.isfinite(apart)]
    worst = float(apart.max()) if apart.size else float("nan")
    return Panel(
        title=f"{_capital(what)}: the function against the row's own optimum",
        x=dataclasses.replace(around, label=f"own optimum: {what}"),
        y=dataclasses.replace(around, label=f"function: {what}"),
        lines=(diagonal,),
        points=(Points(best, function, "one row", Hue.FIRST, values.place),),
        summary=f"The {what} that the function gives against that of the row's own optimum, for "
        f"{len(best):,} rows; the largest difference is {number(worst, 3)}.",
        note=note,
    )


def _against_input(values: FunctionValues, pair: _Pair, note: str) -> Panel:
    what, function, best, least = pair
    assert values.inputs is not None  # the caller has looked
    order = np.argsort(values.inputs, kind="stable")
    x = values.inputs[order]
    name = shown_name(values.input_name)
    return Panel(
        title=f"{_capital(what)} against {name}",
        x=axis(name, x),
        y=axis(what, function, best, least=least),
        lines=(Line(x, function[order], "the function", Hue.FIRST),),
        points=(Points(x, best[order], "own optimum of a row", Hue.SECOND, values.place[order]),),
        summary=f"The {what} that the function gives, as a line, and that of the own optima of "
        f"{len(best):,} rows, as points, against {name}.",
        note=note,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _entry_names(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    return [
        f"{shown_name(name)}[{','.join(map(str, place))}]" if place else shown_name(name)
        for name, shape in shapes.items()
        for place in np.ndindex(shape)
    ]
