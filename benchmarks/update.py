"""Online learning beside a refit to all data, and streams of new rows: what they cost and lose.

python benchmarks/update.py [--only linear nonlinear stream] [--out FILE]
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from rows import Row, measure, row  # noqa: E402

import amortis  # noqa: E402
from amortis.experiments import linear as linear_model  # noqa: E402
from amortis.experiments import nonlinear as nonlinear_model  # noqa: E402

_BLOCKS = 5
_STREAMED = {"1 000 000": 1_000_000, "10 000 000": 10_000_000}


def linear() -> list[Row]:
    """Linear model, N = 10 000 in five blocks."""
    generator = np.random.default_rng(0)
    x = (1.5 + 2.69 * generator.normal(size=10_000)).astype(np.float32)
    bind = lambda part: amortis.from_numpyro(linear_model.model, part)  # noqa: E731
    return _compared("linear, N = 10 000 in 5 blocks", bind, x, amortis.Polynomial(1))


def nonlinear() -> list[Row]:
    """Nonlinear model of the paper, N = 10 000 in five blocks."""
    x = nonlinear_model.simulate(nonlinear_model.Setting.PAPER, 10_000, 0).x
    bind = lambda part: amortis.from_numpyro(nonlinear_model.model, part)  # noqa: E731
    function = amortis.MLP(16, skip=False)
    return _compared("nonlinear, N = 10 000 in 5 blocks, k = 16", bind, x, function)


def _compared(what: str, bind: Callable[[Any], amortis.LatentModel], x: Any, f: Any) -> list[Row]:
    """Globals after all updates beside those of a refit, in the refit's sds; seconds; gaps."""
    key = jax.random.key(0)
    whole = bind(x)
    started = time.perf_counter()
    refit = amortis.fit(whole, key=key, inference=f)
    seconds = {"refit": time.perf_counter() - started}
    parts = [bind(part) for part in np.array_split(np.asarray(x), _BLOCKS)]
    fitted = amortis.fit(parts[0], key=key, inference=f)
    started = time.perf_counter()
    for part in parts[1:]:
        fitted = amortis.update(fitted, part, key=key)
    seconds["one update"] = (time.perf_counter() - started) / (_BLOCKS - 1)
    means, sds = (np.asarray(v) for v in refit.global_moments())
    now, spread = (np.asarray(v) for v in fitted.global_moments())
    # The function that saw the last block last, on all rows: what it has forgotten.
    again = amortis.infer(fitted, np.asarray(x))
    gaps = {
        "the refit": amortis.diagnose(refit, key=key).gap_per_datum.mean,
        "the updated function on all rows": amortis.diagnose(again, key=key).gap_per_datum.mean,
    }
    return [
        row(
            what, "globals' means off the refit's, worst, sds", abs((now - means) / sds).max(), None
        ),
        row(what, "globals' sds over the refit's, furthest from 1", _furthest(spread / sds), None),
        *(row(what, f"gap of {name}, nats per datum", gap, None) for name, gap in gaps.items()),
        *(row(what, f"seconds of {name}, cold", taken, None) for name, taken in seconds.items()),
    ]


def _furthest(ratios: np.ndarray) -> float:
    return float(ratios[np.argmax(abs(np.log(ratios)))])


def stream() -> list[Row]:
    """Seconds and memory of streams from disk, each in a process of its own."""
    rows: list[Row] = []
    for name, size in _STREAMED.items():
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/x.npy"
            shape = nonlinear_model.simulate(nonlinear_model.Setting.PAPER, 10, 0).x.shape[1:]
            file = np.lib.format.open_memmap(path, "w+", np.float32, (size, *shape))
            generator = np.random.default_rng(0)
            for start in range(0, size, 1_000_000):
                part = file[start : start + 1_000_000]
                part[...] = 3.0 * generator.normal(size=part.shape)
            del file
            done = subprocess.run(
                [sys.executable, __file__, "streamed", path],
                check=True,
                capture_output=True,
                text=True,
            )
        seconds, before, after = map(float, done.stdout.split())
        what = f"stream from disk, {name} rows, k = 16"
        rows += [
            row(what, "seconds, cold", seconds, 3.0 if size == 1_000_000 else None),
            row(what, "peak memory beyond the fit's, GB", after - before, 0.5),
        ]
    return rows


def _streamed(path: str) -> None:
    """Seconds, and anonymous peak memory before and after; pages of the file do not count."""
    x = nonlinear_model.simulate(nonlinear_model.Setting.PAPER, 10_000, 0).x
    bound = amortis.from_numpyro(nonlinear_model.model, x)
    fitted = amortis.fit(bound, key=jax.random.key(0), inference=amortis.MLP(16, skip=False))
    for _ in amortis.stream(fitted, np.asarray(x[:16_384])):
        pass  # so that what compiling holds is in both numbers
    jax.clear_caches()
    before = _anonymous()
    started = time.perf_counter()
    most, rows = before, 0
    mapped = np.load(path, mmap_mode="r")
    for found in amortis.stream(fitted, mapped):
        rows += int(np.isfinite(found.mean["z"]).sum())
        most = max(most, _anonymous())
    assert rows == len(mapped)
    print(time.perf_counter() - started, before, most)


def _anonymous() -> float:
    """Resident memory in GB without pages of files, which the system may drop."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("RssAnon"))
        return float(line.split()[1]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


MEASUREMENTS = {"linear": linear, "nonlinear": nonlinear, "stream": stream}


if __name__ == "__main__":
    if sys.argv[1:2] == ["streamed"]:
        _streamed(sys.argv[2])
    else:
        measure(MEASUREMENTS, Path(__file__).parent / "results" / "update.json", __doc__)
