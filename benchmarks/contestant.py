"""amortis as a contestant of the race: one process, two fits, snapshots of q over time.

    python benchmarks/contestant.py --model linear --method avi --degree 1 --seed 0 \
        --data data.npz --out run.npz --started $(date +%s.%N)

The first fit is cold: its clock starts with the process, so imports, binding the model and
compilation count. The second, with another key, is warm: its clock starts with the call of `fit`.
Nothing is chosen but the inference function. Snapshots are parameters only; q is computed from
them after both fits.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

_LOADED = time.time()


def main() -> None:
    """Run the two fits and write their snapshots."""
    options = _options()
    import jax

    import amortis
    from amortis.experiments import linear, nonlinear

    x = np.load(options.data)["x"]
    function: Any = amortis.Table()
    if options.method == "avi":
        function = amortis.Polynomial(options.degree) if options.degree else None
        function = amortis.MLP(options.width) if function is None else function
    model = amortis.from_numpyro((linear if options.model == "linear" else nonlinear).model, x)

    arrays: dict[str, np.ndarray] = {}
    settings: dict[str, Any] = {"rows": len(x), "seed": options.seed}
    for phase, seed in (("cold", options.seed), ("warm", 1000 + options.seed)):
        started = options.started if phase == "cold" else time.time()
        snapshots: list[tuple[float, Any]] = []

        def record(
            _: amortis.Progress,
            current: Any,
            kept: list[tuple[float, Any]] = snapshots,
            since: float = started,
        ) -> None:
            seconds = time.time() - since
            kept.append((seconds, current()))

        fit = amortis.fit(model, key=jax.random.key(seed), inference=function, monitor=record)
        settings |= {
            f"{phase}_total_seconds": time.time() - started,
            f"{phase}_status": fit.status.name,
            f"{phase}_parameters": fit.parameters,
        }
        arrays |= _moments(phase, fit, snapshots)
    np.savez(options.out, settings=np.asarray(json.dumps(settings)), **arrays)
    print(json.dumps(settings))


def _moments(phase: str, fit: Any, snapshots: list[tuple[float, Any]]) -> dict[str, np.ndarray]:
    import equinox as eqx

    entries: dict[str, list[Any]] = {"theta_mean": [], "theta_sd": [], "z_mean": [], "z_sd": []}
    for _, parameters in snapshots:
        at = eqx.tree_at(lambda f: f.variational, fit, parameters)
        (theta, theta_sd), (z, z_sd) = at.global_moments(), at.local_moments()
        for name, value in zip(entries, (theta[0], theta_sd[0], z[:, 0], z_sd[:, 0]), strict=True):
            entries[name].append(np.asarray(value))
    seconds = np.array([seconds for seconds, _ in snapshots])
    stacked = {f"{phase}_{name}": np.stack(values) for name, values in entries.items()}
    return stacked | {f"{phase}_seconds": seconds}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("linear", "nonlinear"), required=True)
    parser.add_argument("--method", choices=("fvi", "avi"), required=True)
    parser.add_argument("--degree", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--started", type=float, default=_LOADED, help="UNIX time of the launch")
    return parser.parse_args()


if __name__ == "__main__":
    main()
