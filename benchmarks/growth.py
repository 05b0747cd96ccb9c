"""How cost grows: with rows, with local dimensions, with the size of groups, for F-VI and A-VI.

    python benchmarks/growth.py [--only rows dimensions groups] [--limit 60] [--small]

Every case is a process of its own (`grown.py`), on data of one family of models whose optimum is
known in closed form (`growing.py`). F-VI is `Table()`, A-VI what `fit` chooses (`MLP`, or
`SetNetwork` for groups). Warm seconds to come and stay within 0.01 nats per unit of the optimum;
cold seconds from binding to the fit's own end, compilation included, or to the limit; parameters;
and the memory that the process holds at its peak beyond what it held with its imports and the data.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from growing import simulate

from amortis.data import replacing

HERE = Path(__file__).parent
OUT = HERE / "results" / "growth.json"
PLOT = HERE.parent / "docs" / "images" / "growth.png"

MOST_TABLE = 1_000_000
"""A table's step touches every row's parameters, so that minibatches do not make it cheaper."""

BAR = 1.5
"""Most that the warm seconds for a row of a minibatch may differ from 10⁵ to 10⁷ rows."""

SWEEPS: dict[str, tuple[str, list[tuple[int, int, int]]]] = {
    "rows": ("N", [(n, 1, 1) for n in (1000, 10_000, 100_000, 1_000_000, 10_000_000)]),
    "dimensions": ("d", [(2000, 1, d) for d in (1, 2, 4, 8, 16, 32, 64)]),
    "groups": ("m", [(100_000 // m, m, 1) for m in (1, 10, 100, 1000, 10_000)]),
}
"""What grows, and units, rows of each, and local dimensions; groups share 100 000 rows."""

WHO = {"F-VI": "Table", "A-VI": "default"}


def main() -> None:
    """Measure, write the JSON and the plot, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(SWEEPS), default=None)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds of one fit")
    parser.add_argument("--small", action="store_true", help="two sizes of each, for a trial")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--plot", type=Path, default=PLOT)
    options = parser.parse_args()
    cases: list[dict[str, Any]] = []
    if options.only and options.out.exists():
        old = json.loads(options.out.read_text())["cases"]
        cases = [case for case in old if case["sweep"] not in options.only]
    for sweep in options.only or SWEEPS:
        sizes = SWEEPS[sweep][1]
        for shape in sizes[:: len(sizes) // 2] if options.small else sizes:
            cases += _at(sweep, shape, options.limit)
    result = {
        "machine": f"{platform.machine()}, 2 cores, CPU",
        "jax": jax.__version__,
        "limit": options.limit,
        "cases": cases,
    }
    with replacing(options.out) as file:
        file.write((json.dumps(result, indent=1) + "\n").encode())
    plot(result, options.plot)
    print(table(result))
    print(f"\n{minibatches(result)}\n\n{crossings(result)}")


def _at(sweep: str, shape: tuple[int, int, int], limit: float) -> list[dict[str, Any]]:
    """All cases of one size."""
    units, members, dimension = shape
    at = {"N": units, "d": dimension, "m": members}[SWEEPS[sweep][0]]
    cases: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "x.npy"
        np.save(data, simulate(units, members, dimension, seed=0))
        asked = [(who, False) for who in WHO if who == "A-VI" or units <= MOST_TABLE]
        if sweep == "rows" and units >= 100_000:
            asked.append(("A-VI", True))
        for who, batches in asked:
            case = {"sweep": sweep, "at": at, "who": who, "minibatches": batches}
            case |= {"units": units, "members": members, "dimension": dimension}
            cases.append(case | _measured(data, WHO[who], batches, limit))
            said = {k: cases[-1].get(k) for k in ("warm_seconds", "cold_seconds", "peak_mb")}
            print(sweep, at, who, "minibatches" if batches else "", said, flush=True)
    return cases


def _measured(data: Path, function: str, batches: bool, limit: float) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "grown.py"), "--data", str(data)]
    command += ["--function", function, "--limit", str(limit)]
    command += ["--minibatches"] if batches else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["killed"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def table(result: dict[str, Any]) -> str:
    """One line for each case that `fit` was left to choose the optimiser of."""
    lines = [
        "| what grows | | method | parameters | warm s to 0.01 nats | cold s, whole fit | "
        "peak MB beyond imports and data |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in result["cases"]:
        if case["minibatches"]:
            continue
        name = f"{SWEEPS[case['sweep']][0]} = {case['at']:,}".replace(",", " ")
        head = f"| {case['sweep']} | {name} | {case['who']} "
        if "failed" in case:
            lines.append(f"{head}| failed: {case['failed']} | | | |")
            continue
        fresh = ", fresh draws" if case["fresh_draws"] else ""
        warm = "—" if case["warm_seconds"] is None else f"{case['warm_seconds']:.2g}"
        cut = " (limit)" if case["status"] == "INTERRUPTED" else ""
        lines.append(
            f"{head}({case['function']}{fresh}) | {case['parameters']} | {warm} | "
            f"{case['cold_seconds']:.3g}{cut} | {case['peak_mb'] - case['held_mb']:.0f} |"
        )
    return "\n".join(lines)


def minibatches(result: dict[str, Any]) -> str:
    """Time and memory of A-VI by minibatches, and the bar."""
    cases = [c for c in result["cases"] if c["minibatches"] and "failed" not in c]
    lines = [
        "| rows | warm µs for each row of a minibatch | warm s to 0.01 nats per row | "
        "µs for each row of the data until then | binding s | peak MB beyond imports and data | "
        "bytes of it for each row |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        warm, n = case["warm_seconds"], case["units"]
        added = case["peak_mb"] - case["held_mb"]
        there = ("—", "—") if warm is None else (f"{warm:.2g}", f"{1e6 * warm / n:.2g}")
        lines.append(
            f"| {n:,} | {1e6 * case['seconds_per_row']:.2g} | {there[0]} | {there[1]} | "
            f"{case['bind_seconds']:.2g} | {added:.0f} | {added * 2**20 / n:.0f} |"
        )
    if len(cases) > 1:
        first, last = cases[0], cases[-1]
        each = [c["seconds_per_row"] for c in cases]
        ratio = max(each) / each[0]
        met = "met" if ratio <= BAR else "**missed**"
        at_first, at_last = (case["peak_mb"] - case["held_mb"] for case in (first, last))
        flat = "met" if at_last <= BAR * at_first else "**missed**"
        lines.append(
            f"\nTime for each row of a minibatch: at most {ratio:.2f} times that at "
            f"{first['units']:,} rows; the bar is {BAR}: {met}. Memory beyond imports and data: "
            f"{at_last / at_first:.2f} times that at {first['units']:,} rows, with the same bar: "
            f"{flat}; the {at_last - at_first:.0f} MB more are "
            f"{(at_last - at_first) / last['data_mb']:.1f} times the data."
        )
    return "\n".join(lines)


CLEAR = 1.5
"""Ratio of two single measurements below which neither is called quicker."""


def crossings(result: dict[str, Any]) -> str:
    """Where either is quicker, warm, by sweep; who missed the target is slower than who did not."""
    lines: list[str] = []
    for sweep, (symbol, _) in SWEEPS.items():
        seconds = {
            who: {
                c["at"]: c["warm_seconds"]
                for c in result["cases"]
                if c["sweep"] == sweep
                and c["who"] == who
                and not c["minibatches"]
                and c.get("warm_seconds") is not None
            }
            for who in WHO
        }
        asked = dict.fromkeys(c["at"] for c in result["cases"] if c["sweep"] == sweep)
        times = {
            at: tuple(seconds[who].get(at, np.inf) for who in ("A-VI", "F-VI")) for at in asked
        }
        clear = {at: (a, f) for at, (a, f) in times.items() if max(a, f) > CLEAR * min(a, f)}
        for who, quicker in (
            ("A-VI", [at for at, (a, f) in clear.items() if a < f]),
            ("F-VI", [at for at, (a, f) in clear.items() if f < a]),
        ):
            said = ", ".join(f"{at:,}" for at in quicker) if quicker else "none"
            lines.append(f"* {sweep}: {who} is the quicker one, warm, at {symbol} = {said}.")
    return "\n".join(lines)


def plot(result: dict[str, Any], out: Path) -> None:
    """Warm seconds against each of the three, and memory against rows."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = {
        "rows": "rows N",
        "dimensions": "local dimensions d (N = 2000)",
        "groups": "rows of each group m (100 000 in all)",
    }
    figure, panels = plt.subplots(1, 4, figsize=(14, 3.4))
    for panel, sweep in zip(panels, [*names, "memory"], strict=True):
        for (who, batches), (color, style) in _STYLES.items():
            cases = [
                c
                for c in result["cases"]
                if c["sweep"] == ("rows" if sweep == "memory" else sweep)
                and (c["who"], c["minibatches"]) == (who, batches)
                and "failed" not in c
            ]
            values = [
                c["peak_mb"] - c["held_mb"] if sweep == "memory" else c["warm_seconds"]
                for c in cases
            ]
            label = f"{who}, minibatches" if batches else who
            at = [c["at"] for c in cases]
            there = [np.nan if v is None else v for v in values]
            if np.isfinite(there).any():
                panel.loglog(at, there, style, color=color, label=label, ms=4)
        panel.set_xlabel(names.get(sweep, names["rows"]))
        panel.set_ylabel("peak MB beyond imports, data" if sweep == "memory" else "warm seconds")
        panel.grid(color="0.9")
        if panel.lines:
            panel.legend(fontsize=7)
    figure.suptitle("Warm seconds to within 0.01 nats per unit of the closed form", fontsize=10)
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130)


_STYLES = {
    ("F-VI", False): ("tab:orange", "s-"),
    ("A-VI", False): ("tab:blue", "o-"),
    ("A-VI", True): ("tab:blue", "^--"),
}


if __name__ == "__main__":
    main()
