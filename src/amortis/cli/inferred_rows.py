"""Inferred rows as they are printed and written: one line per row, one column per number."""

import csv
import dataclasses
import io
import math
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from amortis import InferredBlock
from amortis.cli.output import write_arrays
from amortis.cli.progress import duration
from amortis.report import Cell, Column, replacing, text_table

_MOST_LINES, _MOST_COLUMNS = 1_000_000, 64
"""Beyond these only the NPZ is written."""

_SHOWN_ROWS, _SHOWN_COLUMNS = 5, 4

_BEYOND = 0.7
"""The k-hat above which a row is flagged, for the words."""


@dataclasses.dataclass(frozen=True)
class Inferred:
    """All blocks of a stream, end to end; see `InferredBlock`."""

    mean: dict[str, np.ndarray]
    sd: dict[str, np.ndarray]
    k: Float[np.ndarray, " rows"] | None
    outside: Bool[np.ndarray, " rows"] | None
    refined: Bool[np.ndarray, " rows"]
    missing: Bool[np.ndarray, " rows"]

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.missing)

    def flat(self) -> Iterator[tuple[str, np.ndarray]]:
        """A column per entry of a site: `z.mean`, `z.sd`, or `z[0].mean` and so on."""
        for site, mean in self.mean.items():
            for index in np.ndindex(mean.shape[1:]):
                label = f"{site}[{','.join(map(str, index))}]" if index else site
                yield f"{label}.mean", mean[(slice(None), *index)]
                yield f"{label}.sd", self.sd[site][(slice(None), *index)]


def gathered(blocks: Iterable[InferredBlock]) -> Inferred:
    """Lay the blocks of a stream end to end.

    Args:
        blocks: at least one.
    """
    every = list(blocks)
    first = every[0]
    return Inferred(
        {site: np.concatenate([b.mean[site] for b in every]) for site in first.mean},
        {site: np.concatenate([b.sd[site] for b in every]) for site in first.sd},
        None if first.k is None else np.concatenate([b.k for b in every if b.k is not None]),
        None
        if first.outside is None
        else np.concatenate([b.outside for b in every if b.outside is not None]),
        np.concatenate([b.refined for b in every]),
        np.concatenate([b.missing for b in every]),
    )


def describe_inferred(
    found: Inferred, files: Collection[str], unused: Collection[str], seconds: float
) -> str:
    """What was inferred: how many rows, how many of them are not to be trusted, the first ones.

    Args:
        found: the rows.
        files: where they came from.
        unused: arrays in the files that no argument uses.
        seconds: wall time, compilation included.

    Returns:
        Lines of text, the first one empty.
    """
    extra = f" (unused: {', '.join(unused)})" if unused else ""
    lines = [
        "",
        f"new rows  {found.size}, of {', '.join(files)}{extra}; {duration(seconds)}",
        f"k-hat     {_reach(found)}",
    ]
    if found.missing.any():
        count = int(found.missing.sum())
        lines.append(f"missing   {count} {_rows(count)} with NaN in the data, and NaN here")
    return "\n".join([*lines, "", _first_rows(found)])


def _reach(found: Inferred) -> str:
    if found.k is None or found.outside is None:
        return "not measured"
    finite = found.k[np.isfinite(found.k)]
    largest = f"; the largest is {finite.max():.2f}" if len(finite) else ""
    refined = int(found.refined.sum())
    after = f" after {refined} {'was' if refined == 1 else 'were'} refined" if refined else ""
    bad = int(found.outside.sum())
    said = f"{bad} {_rows(bad)} above {_BEYOND}{after}{largest}"
    if bad and not refined:
        return f"{said}: the function may not reach them; see --outside refined"
    return said


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"


def _first_rows(found: Inferred) -> str:
    columns = list(found.flat())
    shown = columns[: 2 * _SHOWN_COLUMNS]
    heads = [Column("row"), *(Column(name) for name, _ in shown)]
    if found.k is not None:
        heads.append(Column("k-hat", form=".2f"))
    rows: list[list[Cell]] = []
    for n in range(min(found.size, _SHOWN_ROWS)):
        cells: list[Cell] = [n, *(_cell(float(values[n])) for _, values in shown)]
        rows.append(cells if found.k is None else [*cells, _cell(float(found.k[n]))])
    text = text_table(heads, rows)
    left = []
    if found.size > _SHOWN_ROWS:
        left.append(f"{found.size - _SHOWN_ROWS} more rows")
    if len(columns) > len(shown):
        left.append(f"{(len(columns) - len(shown)) // 2} more latents of each")
    return f"{text}\n{', '.join(left)}" if left else text


def _cell(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_inferred(found: Inferred, folder: Path) -> tuple[list[str], str]:
    """Write the rows as NPZ, and as CSV where that is not too large.

    Args:
        found: the rows.
        folder: where they go.

    Returns:
        Names of the files, and a hint where one was left out.
    """
    arrays = {f"{site}.mean": values for site, values in found.mean.items()}
    arrays |= {f"{site}.sd": values for site, values in found.sd.items()}
    flags = {"refined": found.refined, "missing": found.missing}
    if found.k is not None and found.outside is not None:
        flags = {"k": found.k, "outside": found.outside, **flags}
    write_arrays(folder / "inferred.npz", arrays | flags)
    columns = dict(found.flat()) | {
        name: values.astype(int) if values.dtype == bool else values
        for name, values in flags.items()
    }
    if found.size > _MOST_LINES or len(columns) > _MOST_COLUMNS:
        return ["inferred.npz"], (
            f"\ninferred.csv is left out: {found.size} rows of {len(columns)} numbers are too many"
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", *columns])
    lists = [values.tolist() for values in columns.values()]
    writer.writerows((n, *cells) for n, cells in enumerate(zip(*lists, strict=True)))
    with replacing(folder / "inferred.csv") as stream:
        stream.write(text.getvalue().encode())
    return ["inferred.csv", "inferred.npz"], ""
