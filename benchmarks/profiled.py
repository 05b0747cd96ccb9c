"""One task of `profile_fit.py` in a process of its own: prints what it spent its time on, as JSON.

python benchmarks/profiled.py --task linear --started $(date +%s.%N) [--cold]
"""

import time

_LOADED = time.time()

import argparse  # noqa: E402
import dataclasses  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    from compilations import Run, Watch

    import amortis

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("AMORTIS_DATA", ROOT.parent / "shared" / "data")) / "hierarchical"

TASKS = ("linear", "nonlinear, k = 16", "nonlinear, Table", "saw", "radon", "science_irt")
"""The first three with a given inference function; the others with nothing chosen."""

_ROWS = 10_000
_REPEATS = 7
_SMALL, _GAP = 2, 1e-3
"""Units to start growing from, and the gap per datum down to which they grow."""


def main() -> None:
    """Profile one task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--started", type=float, default=_LOADED, help="UNIX time of the launch")
    parser.add_argument("--cold", action="store_true", help="end after the first fit")
    options = parser.parse_args()
    imports = {"interpreter": _LOADED - options.started}
    for module in ("jax", "numpyro", "equinox", "amortis"):
        started = time.perf_counter()
        importlib.import_module(module)
        imports[module] = time.perf_counter() - started
    from compilations import Watch

    watch = Watch()
    first, other, inference = _task(options.task)
    runs = _cold(watch, first, inference)
    total = time.time() - options.started
    result: dict[str, Any] = {"task": options.task, "imports": imports, "total": total}
    if not options.cold:
        result |= _warm(watch, runs, other, inference)
    result["runs"] = {name: run.record() for name, run in runs.items()}
    print(json.dumps(result))


def _cold(
    watch: "Watch", bind: "Callable[[], amortis.LatentModel]", inference: Any
) -> "dict[str, Run]":
    import jax

    import amortis

    runs = {"bind": watch.run(bind)}
    model = runs["bind"].result
    if inference is None and model.verdict is None:
        verdict = runs["check"] = watch.run(lambda: amortis.check(model))
        # The verdict is kept, so that the fit does not check again.
        model = dataclasses.replace(model, verdict=verdict.result)
        runs["bind"] = dataclasses.replace(runs["bind"], result=model)
    runs["fit"] = watch.run(lambda: amortis.fit(model, key=jax.random.key(0), inference=inference))
    return runs


def _warm(
    watch: "Watch",
    runs: "dict[str, Run]",
    other: "Callable[[], amortis.LatentModel]",
    inference: Any,
) -> dict[str, Any]:
    """Everything after the first fit: what is compiled again, and what a warm fit consists of."""
    import jax

    import amortis

    model = runs["bind"].result

    def fitted(model: amortis.LatentModel, seed: int, **given: Any) -> "Run":
        key = jax.random.key(seed)
        return watch.run(lambda: amortis.fit(model, key=key, inference=inference, **given))

    runs["another key"] = fitted(model, 1)
    parts = _parts(runs["another key"].result, runs["another key"].seconds)
    runs["other data: bind"] = watch.run(other)
    elsewhere = runs["other data: bind"].result
    elsewhere = dataclasses.replace(elsewhere, verdict=model.verdict)
    runs["other data: fit"] = fitted(elsewhere, 0)
    runs["restarts=4"] = fitted(model, 0, restarts=4)
    runs["restarts=4 again"] = fitted(model, 1, restarts=4)
    runs["restarts=2"] = fitted(model, 0, restarts=2)
    finer = amortis.FixedDraws(tolerance=1e-5, sd_tolerance=1e-3, mean_tolerance=1e-2)
    runs["more draws"] = fitted(model, 0, optimiser=finer)
    draws = sorted({int(d) for d in runs["more draws"].result.history.draws})
    found: dict[str, Any] = {"warm": parts, "draws": draws}
    if isinstance(inference, amortis.MLP):
        small = amortis.MLP(_SMALL)
        fit = lambda: amortis.fit(model, key=jax.random.key(0), inference=small, tolerance=_GAP)  # noqa: E731
        runs["tolerance"] = watch.run(fit)
        capacity = runs["tolerance"].result.capacity
        found["sizes"] = [step.function for step in capacity.steps]
    return found


def _parts(fit: "amortis.Fit", seconds: float) -> dict[str, float]:
    """A warm fit beside what its parts cost alone."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from amortis.objectives import ClosedFormEntropy, NegativeElbo

    loss = NegativeElbo(fit.model, fit.guide, ClosedFormEntropy())
    model, guide, parameters = fit.model, fit.guide, fit.variational
    history, noise_seconds = fit.history, 0.0
    counts = np.diff(history.iterations, prepend=0)
    whole = bare = 0.0

    chunk = int(history.draws[0])

    def cut(draws: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.reshape(leaf, (-1, chunk, *leaf.shape[1:])), draws)

    @eqx.filter_jit
    def of_loss(loss: Any, parameters: Any, noise: Any) -> Any:
        shared, pull = jax.vjp(loss.shared, parameters)
        one = lambda part: jax.value_and_grad(loss.value_of)(shared, part)  # noqa: E731
        value, gradient = jax.lax.map(one, cut(noise))
        return value.sum(), pull(jax.tree.map(lambda leaf: leaf.sum(axis=0), gradient))

    @eqx.filter_jit
    def of_density(model: Any, theta: Any, z: Any) -> Any:
        total = lambda t, z: jnp.sum(jax.vmap(model.log_joint)(t, z))  # noqa: E731
        one = lambda part: jax.value_and_grad(total, argnums=(0, 1))(*part)  # noqa: E731
        value, gradient = jax.lax.map(one, cut((theta, z)))
        return value.sum(), jax.tree.map(lambda leaf: leaf.sum(), gradient)

    @eqx.filter_jit
    def draw(guide: Any, parameters: Any, noise: Any) -> Any:
        raw = guide.fitted_raw(parameters, None)
        return jax.vmap(lambda e: guide.sample(parameters, raw, e))(noise)

    for draws in sorted({int(d) for d in history.draws}):
        evaluations = int(counts[history.draws == draws].sum())
        noise_seconds += _median(lambda d=draws: loss.fixed_noise(jax.random.key(0), d), 3)
        noise = loss.fixed_noise(jax.random.key(0), draws)
        theta, z = draw(guide, parameters, noise)
        whole += evaluations * _median(lambda n=noise: of_loss(loss, parameters, n))
        bare += evaluations * _median(lambda t=theta, z=z: of_density(model, t, z))
    return {
        "seconds": seconds,
        "evaluations": int(counts.sum()),
        "blocks": len(history.draws),
        "log density and its gradient, alone": bare,
        "loss and its gradient, alone": whole,
        "noise": noise_seconds,
        "the rest: search, host": seconds - whole - noise_seconds,
    }


def _median(function: Callable[[], Any], repeats: int = _REPEATS) -> float:
    import jax

    jax.block_until_ready(function())
    seconds: list[float] = []
    for _ in range(repeats):
        started = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _task(
    name: str,
) -> "tuple[Callable[[], amortis.LatentModel], Callable[[], amortis.LatentModel], Any]":
    """How to bind its data, how to bind other data of the same shape, and what is chosen."""
    import numpy as np

    import amortis
    from amortis.experiments import linear, nonlinear, saw
    from amortis.experiments.comparison import Setting

    paper, bind = Setting.PAPER, amortis.from_numpyro
    if name == "linear":
        a, b = (linear.simulate(_ROWS, seed) for seed in (0, 1))
        function: Any = amortis.Polynomial(1)
        return lambda: bind(linear.model, a), lambda: bind(linear.model, b), function
    if name.startswith("nonlinear"):
        a, b = (nonlinear.simulate(paper, _ROWS, seed).x for seed in (0, 1))
        function = amortis.Table() if "Table" in name else amortis.MLP(16)
        return lambda: bind(nonlinear.model, a), lambda: bind(nonlinear.model, b), function
    if name == "saw":
        a, b = (saw.simulate(paper, 1000, seed) for seed in (0, 1))
        return lambda: bind(saw.model, a), lambda: bind(saw.model, b), None
    sys.path.insert(0, str(ROOT))
    from examples import radon, science_irt

    if name == "radon":
        from amortis.data.read import read_arguments

        given, _ = read_arguments(radon.model, DATA / "radon_all.json")
        changed = given | {"log_radon": np.asarray(given["log_radon"])[::-1].copy()}
        return lambda: bind(radon.model, **given), lambda: bind(radon.model, **changed), None
    raw = json.loads((DATA / "science_irt.json").read_text())
    y = np.asarray(raw["y"]).reshape(raw["J"], raw["I"])
    flipped = y[::-1].copy()
    return lambda: bind(science_irt.model, y), lambda: bind(science_irt.model, flipped), None


if __name__ == "__main__":
    main()
