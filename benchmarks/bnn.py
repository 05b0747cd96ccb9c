"""A schedule of the Bayesian neural network on images: the table, the paths, the figures.

    python benchmarks/bnn.py --schedule short --out results/bnn     # FashionMNIST, 2000 images
    python benchmarks/bnn.py --schedule mnist --out results/bnn     # MNIST, 8000 + 2000 held out

Images are read from below the folder in AMORTIS_DATA, and fetched where they are not there. Every
finished fit is kept in the folder, so that an interrupted run goes on from there.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax

import amortis
from amortis import AmortisError
from amortis.cli.reproduce import COLUMNS, as_plain, comparison_rows
from amortis.experiments.bnn import run_bnn, write_figures
from amortis.report import replacing, text_table


def monitor_for(name: str) -> Callable[..., None]:
    """Print where a fit stands, every ten seconds."""
    shown = time.perf_counter()

    def monitor(progress: amortis.Progress, current: Callable[[], object]) -> None:
        nonlocal shown
        if time.perf_counter() - shown >= 10 or progress.fraction == 1.0:
            shown = time.perf_counter()
            done = f"{100 * progress.fraction:.0f} %, ELBO {progress.objective:.0f}"
            print(f"{name}: {done}", file=sys.stderr, flush=True)

    return monitor


def main() -> None:
    """Run a schedule."""
    parser = argparse.ArgumentParser(description="Fit images by a Bayesian neural network.")
    parser.add_argument("--schedule", default="short", help="published, short or mnist")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder of the images")
    parser.add_argument("--seeds", type=int, help="fits per method")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        result = run_bnn(
            options.schedule,
            key=jax.random.key(options.seed),
            seeds=options.seeds,
            monitor_for=monitor_for,
            data=options.data,
            out=options.out,
        )
        found = result.reproduction()
        with replacing(options.out / f"bnn-{options.schedule}.json") as stream:
            stream.write(json.dumps(as_plain(found), indent=1).encode())
        write_figures(result, options.out)
    except AmortisError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"{found.title}\n\n{text_table(COLUMNS, comparison_rows(found))}\n\n{found.remark}")


if __name__ == "__main__":
    main()
