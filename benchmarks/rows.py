"""Measured rows beside their bars: how a script prints, keeps and tabulates them."""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

Row = dict[str, Any]
"""What was measured: `what`, `quantity`, `measured`, and `bar`, the most it may be, or None."""


def row(what: str, quantity: str, measured: float, bar: float | None) -> Row:
    """A row, said on the error stream as soon as it is there."""
    print(f"{what}: {quantity} {measured:.4g}", file=sys.stderr, flush=True)
    return {"what": what, "quantity": quantity, "measured": float(measured), "bar": bar}


def table(rows: list[Row]) -> str:
    """The rows as a markdown table."""
    lines = ["| what | quantity | measured | bar | met |", "|---|---|---|---|---|"]
    for each in rows:
        bar, met = "", ""
        if each["bar"] is not None:
            bar = f"≤ {each['bar']:g}"
            met = "yes" if each["measured"] <= each["bar"] else "**no**"
        measured = f"{each['measured']:.3g}"
        lines.append(f"| {each['what']} | {each['quantity']} | {measured} | {bar} | {met} |")
    return "\n".join(lines)


def measure(
    measurements: Mapping[str, Callable[[], list[Row]]], out: Path, description: str | None
) -> None:
    """The command line of a script: measure what was asked for, keep the other rows, print all.

    Args:
        measurements: functions that measure, by the name that `--only` takes.
        out: where the rows are kept unless `--out` says otherwise.
        description: of the script.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", nargs="+", choices=tuple(measurements), default=None)
    parser.add_argument("--out", type=Path, default=out)
    options = parser.parse_args()
    rows = [found for name in options.only or measurements for found in measurements[name]()]
    if options.only and options.out.exists():
        rows = _merged(json.loads(options.out.read_text())["rows"], rows)
    result = {
        "machine": f"{platform.machine()}, 2 cores, CPU",
        "jax": jax.__version__,
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(rows))


def _merged(old: list[Row], new: list[Row]) -> list[Row]:
    """The old rows with those that were measured again in their places."""
    again = {(each["what"], each["quantity"]): each for each in new}
    kept = [again.pop((each["what"], each["quantity"]), each) for each in old]
    return [*kept, *again.values()]
