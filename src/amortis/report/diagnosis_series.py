"""What a diagnosis looks like: the gap of each row against what it reads, and k-hat of each row."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from amortis.diagnostics import Diagnosis
from amortis.model import LatentModel
from amortis.report.markup import shown_name
from amortis.report.panel import Axis, Hue, Level, Line, Panel, Points, axis
from amortis.report.row_sample import RowSample, sample_rows
from amortis.report.ticks import number

K_LEVELS = ((0.5, "0.5"), (0.7, "0.7"), (1.0, "1.0"))
"""Values of k-hat at which its meaning changes."""

MOST_COLUMNS = 4
"""Columns of the data against which gaps are shown."""

_WIDE = 100.0
"""Ratio of the largest to the median gap past which gaps go on a logarithmic axis."""

_DECADES = 1e-5
_BINS, _FEWEST_PER_BIN = 40, 40


@dataclasses.dataclass(frozen=True)
class Columns:
    """Numbers of each row that a gap can be drawn against.

    Attributes:
        names: one per column.
        values: one row per datum.
        left_out: columns that were not chosen.
    """

    names: tuple[str, ...]
    values: Float[np.ndarray, "rows columns"]
    left_out: int = 0


def columns_of_rows(model: LatentModel, diagnosis: Diagnosis | None = None) -> Columns:
    """What rows can be told apart by: columns that the function reads, or sizes of groups.

    Args:
        model: the model.
        diagnosis: where there are many columns, those that order the gaps best are taken.

    Returns:
        Up to four columns, in the order of the data; the row's number where there is no other.
    """
    inputs = np.asarray(model.inputs, np.float64)
    names = tuple(model.input_names)
    if not names and model.members is not None:
        counts = np.asarray(model.members.groups.counts, np.float64)
        return Columns(("rows in the group",), counts[:, None])
    if not names:
        return Columns(("row",), np.arange(model.size, dtype=np.float64)[:, None])
    chosen = np.arange(min(len(names), MOST_COLUMNS))
    if len(names) > MOST_COLUMNS and diagnosis is not None:
        rows = sample_rows(model.size).rows
        strength = _rank_correlations(inputs[rows], np.asarray(diagnosis.row_gaps)[rows])
        chosen = np.sort(np.argsort(-strength, kind="stable")[:MOST_COLUMNS])
    left_out = len(names) - len(chosen)
    return Columns(tuple(names[i] for i in chosen), inputs[:, chosen], left_out)


def rows_are_measured(diagnosis: Diagnosis) -> bool:
    """Whether rows were measured one by one, which rows that touch each other cannot be."""
    return bool(np.isfinite(diagnosis.row_gaps).any())


def diagnosis_sample(diagnosis: Diagnosis) -> RowSample:
    """The rows to show of a diagnosis: those of the largest gaps and k-hats, and others."""
    return sample_rows(diagnosis.size, (diagnosis.row_gaps, diagnosis.row_k))


def gap_panels(model: LatentModel, diagnosis: Diagnosis, sample: RowSample) -> tuple[Panel, ...]:
    """Draw the gap of each row against columns of the data.

    Args:
        model: the model that was fitted.
        diagnosis: of the fit.
        sample: the rows to show.

    Returns:
        One panel per column; none where rows were not measured one by one.
    """
    if not rows_are_measured(diagnosis):
        return ()
    columns = columns_of_rows(model, diagnosis)
    return tuple(
        _gap_panel(name, columns.values[:, i], diagnosis, sample)
        for i, name in enumerate(columns.names)
    )


def k_hat_panel(diagnosis: Diagnosis, sample: RowSample) -> Panel | None:
    """Draw k-hat of each row, beside the values at which its meaning changes.

    Args:
        diagnosis: of the fit.
        sample: the rows to show.

    Returns:
        The panel; None where rows were not measured one by one.
    """
    k = np.asarray(diagnosis.row_k, np.float64)
    finite = k[np.isfinite(k)]
    exact, unbounded = int(np.sum(k == -np.inf)), int(np.sum(k == np.inf))
    if not finite.size and not exact + unbounded:
        return None
    low = min(float(np.quantile(finite, 0.001)) if finite.size else 0.0, 0.0) - 0.1
    high = max(float(finite.max()) if finite.size else 0.0, 1.0) + 0.15
    inner = np.clip(k, low + 0.02, high - 0.02)
    hues = (
        (k <= 0.7, Hue.FIRST, "up to 0.7"),
        ((k > 0.7) & (k <= 1.0), Hue.WARNING, "above 0.7"),
        (k > 1.0, Hue.BAD, "above 1"),
    )
    place = np.arange(len(k), dtype=np.float64)
    points = [
        _points(sample, place, np.where(kept, inner, np.nan), words, hue)
        for kept, hue, words in hues
    ]
    worst = int(np.nanargmax(k))
    edge = [f"{exact:,} rows whose factor is exact are drawn at the lower edge."] * bool(exact)
    return Panel(
        title="k-hat of each row",
        x=axis("row number", np.array([0.0, max(len(k) - 1, 1)])),
        y=Axis("k-hat (no unit)", low, high),
        levels=tuple(Level(y, label) for y, label in K_LEVELS),
        points=tuple(each for each in points if each.x.size),
        summary=f"k-hat of {len(sample.rows):,} rows against the row's number; the largest is "
        f"{number(float(k[worst]), 3)}, of row {worst:,}.",
        note=" ".join([sample.note, *edge]).strip(),
    )


def _gap_panel(
    name: str, x: Float[np.ndarray, " rows"], diagnosis: Diagnosis, sample: RowSample
) -> Panel:
    gaps = np.asarray(diagnosis.row_gaps, np.float64)
    finite = gaps[np.isfinite(gaps)]
    largest, worst = float(finite.max()), int(np.nanargmax(gaps))
    median = float(np.median(np.abs(finite)))
    log = largest > max(_WIDE * median, 0.1 * diagnosis.tolerance)
    tolerance = Level(diagnosis.tolerance, f"tolerance {number(diagnosis.tolerance)} nats")
    notes = [sample.note]
    shown = gaps
    if log:
        least = max(0.1 * median, 0.01 * diagnosis.tolerance)
        floor = max(largest * _DECADES, min(0.1 * diagnosis.tolerance, least))
        shown = np.where(np.isfinite(gaps), np.maximum(gaps, floor), np.nan)
        below = int(np.sum(finite < floor))
        if below:
            notes.append(f"{below:,} gaps below {number(floor, 2)} nats are at the lower edge.")
    heights = axis("gap of the row (nats)", shown, np.array([diagnosis.tolerance]), log=log)
    line = _bin_means(x, gaps)
    shown_x = shown_name(name)
    return Panel(
        title=f"Gap against {shown_x}",
        x=axis(shown_x, x),
        y=heights,
        levels=(tolerance,),
        lines=() if line is None else (line,),
        points=(_points(sample, x, shown, "one row"),),
        summary=f"Gap of {len(sample.rows):,} rows in nats against {shown_x}; the largest is "
        f"{number(largest, 3)} nats, of row {worst:,}.",
        note=" ".join(note for note in notes if note),
    )


def _points(
    sample: RowSample,
    x: Float[np.ndarray, " rows"],
    y: Float[np.ndarray, " rows"],
    label: str,
    hue: Hue = Hue.FIRST,
) -> Points:
    """The rows of a sample that have both places."""
    place: Int[np.ndarray, " shown"] = np.arange(len(sample.rows))
    shown_x, shown_y = x[sample.rows], y[sample.rows]
    kept = np.isfinite(shown_x) & np.isfinite(shown_y)
    return Points(shown_x[kept], shown_y[kept], label, hue, place[kept])


def _bin_means(x: Float[np.ndarray, " rows"], gaps: Float[np.ndarray, " rows"]) -> Line | None:
    """The mean gap of all rows in stretches of equal numbers of rows; None for few values."""
    kept = np.isfinite(x) & np.isfinite(gaps)
    x, gaps = x[kept], gaps[kept]
    bins = min(_BINS, len(x) // _FEWEST_PER_BIN)
    if bins < 4 or len(np.unique(x[:: max(len(x) // 1000, 1)])) < 2 * bins:
        return None
    order = np.argsort(x, kind="stable")
    parts = np.array_split(order, bins)
    centers = np.array([x[part].mean() for part in parts])
    means = np.array([gaps[part].mean() for part in parts])
    words = tuple(
        f"mean of {len(part):,} rows: {number(float(mean), 3)} nats"
        for part, mean in zip(parts, means, strict=True)
    )
    return Line(centers, means, "mean of all rows nearby", Hue.SECOND, words=words)


def _rank_correlations(
    columns: Float[np.ndarray, "rows columns"], gaps: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, " columns"]:
    """How strongly each column, and its distance from its middle, orders the gaps."""
    target = _ranks(np.nan_to_num(gaps, nan=0.0))
    found = [
        max(_cosine(_ranks(v), target), _cosine(_ranks(np.abs(v - np.median(v))), target))
        for v in columns.T
    ]
    return np.array(found)


def _ranks(values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    _, which = np.unique(values, return_inverse=True)  # ties share their mean rank
    ranks = (np.bincount(which, ranks) / np.bincount(which))[which]
    return ranks - ranks.mean()


def _cosine(a: Float[np.ndarray, " rows"], b: Float[np.ndarray, " rows"]) -> float:
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return abs(float(a @ b)) / length if length else 0.0
