"""One case of `growth.py` in a process of its own: time, parameters and memory, as JSON.

python benchmarks/grown.py --data x.npy --function Table --limit 60 [--minibatches]
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from factors import factors
from growing import Closed, groups_model, rows_model
from tracking import Track

import amortis

_LOOKED_AT = 100_000
"""Units whose ELBO stands for that of all: the shortfall is known to far less than a hundredth."""

_STEPS = 1600
"""Of minibatches of the same work each, to see what a row costs."""


def main() -> None:
    """Fit twice, with a cold and a warm program, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="shape (units, members, d)")
    parser.add_argument("--function", choices=("Table", "default"), required=True)
    parser.add_argument("--limit", type=float, required=True)
    parser.add_argument("--minibatches", action="store_true")
    options = parser.parse_args()
    jax.block_until_ready(jax.numpy.zeros(3) + 1)
    x = np.load(options.data)
    held = _memory("VmRSS")
    result: dict[str, Any] = {"data_mb": x.nbytes / 2**20}
    function = amortis.Table() if options.function == "Table" else None
    function = amortis.MLP() if options.minibatches else function  # what `check` would choose
    method = amortis.FreshDraws() if options.minibatches else None

    started = time.perf_counter()
    model = _bind(x)
    result["bind_seconds"] = time.perf_counter() - started
    bound = _memory("VmHWM")
    key = jax.random.key(0)
    ended = Track(lambda _: np.inf, options.limit)
    fit = amortis.fit(model, key=key, inference=function, optimiser=method, monitor=ended)
    closed = Closed.of(x, _LOOKED_AT) if len(x) <= _LOOKED_AT else None
    result |= {
        "cold_seconds": time.perf_counter() - started,
        "status": fit.status.name,
        "parameters": fit.parameters,
        "function": repr(fit.guide.inference),
        "fresh_draws": bool(np.ndim(fit.history.draws) and fit.history.draws[0] == 2),
        # Of this program alone: getrusage would count what the parent held when it was started.
        "peak_mb": _memory("VmHWM"),
        "bind_peak_mb": bound,
        "held_mb": held,
    }
    closed = Closed.of(x, _LOOKED_AT) if closed is None else closed
    index = None if len(x) <= _LOOKED_AT else jax.numpy.arange(_LOOKED_AT)
    best, guide = closed.best(), fit.guide
    # The check is not done again, and what the function reads is what it found.
    model, inference = fit.model, guide.inference

    def short(parameters: Any) -> float:
        return (best - closed.elbo(*factors(guide, parameters, index))) * closed.members

    short(fit.variational)  # compiled before the clock runs
    track = Track(short, options.limit, 20)
    key = jax.random.key(1)
    fit = amortis.fit(model, key=key, inference=inference, optimiser=method, monitor=track)
    track.finish(fit.variational)
    reached = track.reached
    result["warm_seconds"] = None if reached is None else reached.seconds
    result["short"] = track.looks[-1].short if np.isfinite(track.looks[-1].short) else None
    if options.minibatches:
        result |= _per_row(model, inference)
    print(json.dumps(result))


def _bind(x: np.ndarray) -> amortis.LatentModel:
    units, members, dimension = x.shape
    if members == 1:
        return amortis.from_numpyro(rows_model, x[:, 0, 0] if dimension == 1 else x[:, 0])
    group = np.repeat(np.arange(units, dtype=np.int32), members)
    return amortis.from_numpyro(groups_model, x.reshape(-1), group, units)


def _per_row(model: amortis.LatentModel, inference: Any) -> dict[str, Any]:
    """Warm seconds for each row that a minibatch has held, without stopping rule or ladder."""
    method = amortis.FreshDraws(rate=0.01, iterations=_STEPS, plateau=amortis.Plateau(1e-9))
    blocks: list[float] = []
    for seed in range(3):
        history = amortis.fit(
            model, key=jax.random.key(seed), inference=inference, optimiser=method
        ).history
        steps = int(history.iterations[1] - history.iterations[0])
        blocks += list(np.diff(history.seconds))  # the first block, which compiles, has no start
    size = model.size
    batch = size // -(-size // 1024)
    return {"seconds_per_row": float(np.median(blocks)) / (steps * batch), "batch": batch}


def _memory(what: str) -> float:
    """`VmHWM`, the peak, or `VmRSS`, the present resident memory, in MB."""
    status = Path("/proc/self/status").read_text()
    return float(status.split(f"{what}:")[1].split()[0]) / 2**10


if __name__ == "__main__":
    main()
