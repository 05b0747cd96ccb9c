"""The tables of docs/families.md, from the files that `families` and `peers` have written.

    python -m benchmarks.posteriordb.table [--of FOLDER]

`chosen` is what `select_family` would have returned: of mean-field, full-rank and flow, in this
order, the first that is trusted and whose log weights vary by no more than a twentieth, else the
largest ELBO of those trusted, else the largest of all. It reads no errors.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from .families import CHOSEN_FROM, FAMILIES
from .models import NAMES

EVEN = 0.05
PEERS = {"nuts": "NUTS", "advi": "ADVI"}


def chosen(found: dict[str, dict[str, Any]]) -> tuple[str, float]:
    """The family that `select_family` would return, and the seconds of all that it tries."""
    tried, seconds = [], 0.0
    for who in CHOSEN_FROM:
        if who not in found or "failure" in found[who]:
            continue
        tried.append(who)
        seconds += found[who]["cold"] + found[who]["diagnose"]
        if found[who]["trusted"] and (
            found[who]["finding"] == "EXACT" or found[who]["weight_variance"] <= EVEN
        ):
            break
    trusted = [who for who in tried if found[who]["trusted"]]
    return max(trusted or tried, key=lambda who: found[who]["elbo"]), seconds


def summary(found: dict[str, Any]) -> tuple[float, float, float]:
    """Median and largest absolute error of a mean in reference sds; median ratio of the sds."""
    off, ratios = np.abs(_values(found["mean_errors"])), _values(found["sd_ratios"])
    return float(np.median(off)), float(off.max()), float(np.median(ratios))


def _values(measured: Any) -> np.ndarray:
    """Numbers by parameter, or a list of them."""
    return np.asarray(list(measured.values()) if isinstance(measured, dict) else measured)


def _load(folder: Path, name: str, whose: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    files = {who: folder / f"{name}-{who}.json" for who in whose}
    return {who: json.loads(p.read_text()) for who, p in files.items() if p.exists()}


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    if "failure" in found:
        return "failed"
    median, worst, ratio = summary(found)
    trust = "" if "trusted" not in found else (" ✓" if found["trusted"] else "")
    return f"{median:.2f} / {worst:.2f}, {ratio:.2f}{trust}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--of", type=Path, default=Path("benchmarks/results/posteriordb"))
    folder = parser.parse_args().of
    ours = {name: _load(folder, name, tuple(FAMILIES)) for name in NAMES}
    theirs = {name: _load(folder, name, tuple(PEERS)) for name in NAMES}
    shown = [*FAMILIES, *PEERS]
    print("| posterior | " + " | ".join(PEERS.get(w, w) for w in shown) + " |")
    print("|---" * (len(shown) + 1) + "|")
    for name in NAMES:
        row = [_cell((ours[name] | theirs[name]).get(who)) for who in shown]
        print(f"| {name} | " + " | ".join(row) + " |")
    print()
    heads = (
        "posterior", "chosen", "trusted", "error median / largest", "sds", "k-hat",
        "all tried, s", "fit cold / warm, s", "NUTS cold / warm, s",
    )  # fmt: skip
    print("| " + " | ".join(heads) + " |")
    print("|---" * 9 + "|")
    met, broken = 0, 0
    for name in NAMES:
        if not ours[name]:
            continue
        who, seconds = chosen(ours[name])
        found = ours[name][who]
        median, worst, ratio = summary(found)
        met += median <= 0.1 and 0.9 <= ratio <= 1.1
        k = "exact" if found["k"] == -math.inf else f"{found['k']:.2f}"
        nuts, times = theirs[name].get("nuts"), "–"
        if nuts is not None:
            times = f"{_seconds(nuts['cold']):.1f} / {_seconds(nuts['warm']):.1f}"
        cells = (
            name,
            who,
            "yes" if found["trusted"] else "no",
            f"{median:.3f} / {worst:.3f}",
            f"{ratio:.2f}",
            k,
            f"{seconds:.1f}",
            f"{found['cold']:.1f} / {found['warm']:.2f}",
            times,
        )
        print("| " + " | ".join(cells) + " |")
    for name in NAMES:
        for who, found in ours[name].items():
            if found.get("trusted") and np.abs(found["mean_errors"]).max() > 0.3:
                broken += 1
                print(f"\ntrusted with an error above 0.3 sd: {name}, {who}")
    print(
        f"\nwithin 0.1 sd and [0.9, 1.1] for the median parameter: {met} of {len(NAMES)}; "
        f"trusted with an error above 0.3 sd: {broken}"
    )


def _seconds(measured: Any) -> float:
    return float(measured["wall"] if isinstance(measured, dict) else measured)


if __name__ == "__main__":
    main()
