"""Calibration of the plateau rule on recorded noisy traces of fits whose true loss is known.

    python benchmarks/stopping.py --out benchmarks/results/stopping.json [--cache out/stopping]

Every trace is a run of Adam at one learning rate, as `FreshDraws` makes it: block averages of the
loss, new draws and rows at every step. Beside each entry stands the loss of the same parameters on
fixed low-noise draws of all rows, so that what was still to be gained is known. Recordings are kept
in the cache, one file per problem; a second call only evaluates. docs/stopping.md holds the output.
"""

import argparse
import dataclasses
import itertools
import json
import os
import platform
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from scipy.ndimage import median_filter
from scipy.optimize import isotonic_regression

import amortis
from amortis.experiments import linear, nonlinear
from amortis.experiments.comparison import Setting
from amortis.guide import Guide
from amortis.objectives import NegativeElbo
from amortis.optimise import fresh_draws
from amortis.optimise.batches import Epochs
from amortis.optimise.fresh_walk import advance_walk, at_new_rate, first_walk

RATES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
FIRST_BLOCKS, SECOND_BLOCKS, CUT = 120, 100, 16
"""Blocks at the first rate, at a quarter of it, and where the second run leaves the first."""
EARLIEST = 12
"""Entries before any rule may look; a trace counts if it is still improving there."""
UNSTABLE = 0.1
"""Runs whose true loss jumps by more nats per datum than this from block to block are left out."""
TOLERANCE = 1e-3

Rule = Callable[[np.ndarray], bool]


@dataclasses.dataclass(frozen=True)
class Problem:
    """A model, an inference function and the settings of the stochastic loss."""

    model: str
    inference: str
    rows: int
    batch: int
    draws: int
    seeds: int

    @property
    def name(self) -> str:
        return "-".join(str(value) for value in dataclasses.astuple(self))


PROBLEMS = (
    Problem("linear", "polynomial", 500, 500, 2, 40),
    Problem("linear", "polynomial", 2000, 64, 2, 160),
    Problem("linear", "table", 500, 500, 2, 60),
    Problem("linear", "table", 2000, 256, 2, 60),
    Problem("linear", "table", 10_000, 1000, 2, 10),
    Problem("linear", "table", 500, 64, 8, 150),
    Problem("linear", "mlp", 1000, 64, 2, 200),
    Problem("nonlinear", "table", 500, 500, 2, 30),
    Problem("nonlinear", "table", 1000, 128, 4, 50),
    Problem("nonlinear", "mlp", 500, 500, 2, 20),
    Problem("nonlinear", "mlp", 1000, 64, 4, 50),
    Problem("nonlinear", "mlp", 2000, 256, 2, 20),
    Problem("ppca", "polynomial", 500, 64, 4, 70),
    Problem("ppca", "mlp", 500, 64, 2, 60),
)
FITS = (
    Problem("linear", "polynomial", 10_000, 1000, 2, 3),
    Problem("linear", "table", 10_000, 1000, 2, 3),
    Problem("nonlinear", "table", 1000, 1000, 2, 3),
    Problem("nonlinear", "mlp", 1000, 1000, 2, 3),
    Problem("nonlinear", "mlp", 10_000, 64, 2, 3),
)
"""Whole fits; the last number counts seeds."""
INFERENCE = {
    "polynomial": amortis.Polynomial(1),
    "table": amortis.Table(),
    "mlp": amortis.MLP(),
}
LOW_NOISE_DRAWS = {"linear": 16, "nonlinear": 64, "ppca": 32}


def ppca(x: Any) -> None:
    """Probabilistic PCA with two latents."""
    columns = x.shape[1]
    loading = numpyro.sample("w", dist.Normal(jnp.zeros((2, columns)), 1.0).to_event(2))
    sd = numpyro.sample("sd", dist.LogNormal(0.0, 1.0))
    with numpyro.plate("rows", x.shape[0]):
        z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
        numpyro.sample("x", dist.Normal(z @ loading, sd).to_event(1), obs=x)


def bind(name: str, rows: int, seed: int) -> amortis.LatentModel:
    if name == "linear":
        return amortis.from_numpyro(linear.model, 3.0 + linear.simulate(rows, seed=seed))
    if name == "nonlinear":
        x = nonlinear.simulate(Setting.PAPER, rows, seed).x
        return amortis.from_numpyro(nonlinear.model, x)
    generator = np.random.default_rng(seed)
    signal = generator.normal(size=(rows, 2)) @ generator.normal(size=(2, 8))
    return amortis.from_numpyro(ppca, signal + 0.5 * generator.normal(size=(rows, 8)))


def loss_of(problem: Problem, seed: int) -> NegativeElbo:
    """The loss as `fit` makes it for `FreshDraws`."""
    model = bind(problem.model, problem.rows, seed)
    globals_ = amortis.Point() if problem.model == "ppca" else amortis.DiagonalNormal()
    inference = INFERENCE[problem.inference]
    guide = Guide.for_model(model, inference, globals_, amortis.DiagonalNormal())
    return NegativeElbo(model, guide, amortis.StickTheLanding())


def truth_of(loss: NegativeElbo, seed: int, draws: int) -> Callable[[Any], jax.Array]:
    """The loss on fixed draws of all rows, with the entropies in closed form."""
    noise = jax.tree.map(jnp.asarray, loss.fixed_noise(jax.random.key(seed), draws))
    exact = dataclasses.replace(loss, gradient=amortis.ClosedFormEntropy())
    return jax.tree_util.Partial(_on_all_rows, exact, noise)


def _on_all_rows(loss: NegativeElbo, noise: Any, parameters: Any) -> jax.Array:
    return loss.value(parameters, noise, None)


@eqx.filter_jit
def advance(
    loss: NegativeElbo, truth: Any, walk: Any, keys: Any, index: Any, rates: Any, draws: int
) -> tuple[Any, jax.Array]:
    """One block of all seeds: the walk, and (mean of the noisy losses, low-noise loss) of each."""

    def one(walk: Any, key: Any, index: Any, rate: Any) -> tuple[Any, jax.Array]:
        length = fresh_draws._SHORTEST_BLOCK if index is None else len(index)
        keys = jax.random.split(key, length)
        walk, losses = advance_walk(loss, walk, keys, index, rate, fresh_draws._ADAM, draws)
        now = jax.tree.map(lambda leaf: leaf[0], walk.parameters)
        return walk, jnp.stack([losses.mean(), truth(now)])

    return jax.vmap(one, in_axes=(0, 0, None if index is None else 0, 0))(walk, keys, index, rates)


def record(problem: Problem, seed: int) -> dict[str, np.ndarray]:
    """Traces of shape (seeds, blocks, 2) at a first rate, and at a quarter of it from an early cut.

    Blocks and averages are those of `FreshDraws`. Seeds differ in start, rows, draws and rate.
    """
    loss, seeds = loss_of(problem, seed), problem.seeds
    truth = truth_of(loss, seed, LOW_NOISE_DRAWS[problem.model])
    start_key, key = jax.random.split(jax.random.key(seed))
    starts = jax.vmap(jax.vmap(loss.guide.init))(jax.random.split(start_key, (seeds, 1)))
    walk = jax.vmap(lambda start: first_walk(start, fresh_draws._ADAM))(starts)
    rates = jnp.asarray([RATES[i % len(RATES)] for i in range(seeds)])
    epochs = [Epochs(problem.rows, problem.batch, 1000 * seed + i) for i in range(seeds)]
    per_epoch = epochs[0].per_epoch
    length = -(-fresh_draws._SHORTEST_BLOCK // per_epoch) * per_epoch
    length = fresh_draws._LONGEST_BLOCK if length > fresh_draws._LONGEST_BLOCK else length

    def run(walk: Any, rates: Any, blocks: int) -> tuple[Any, np.ndarray]:
        nonlocal key, epochs
        seen: list[np.ndarray] = []
        for _ in range(blocks):
            block_key, key = jax.random.split(key)
            index = None
            if problem.batch < problem.rows:
                taken = [epoch.take(length) for epoch in epochs]
                epochs = [epoch for _, epoch in taken]
                index = jnp.asarray(np.stack([rows for rows, _ in taken]))
            keys = jax.random.split(block_key, seeds)
            walk, values = advance(loss, truth, walk, keys, index, rates, problem.draws)
            seen.append(np.asarray(values, np.float64))
        return walk, np.stack(seen, axis=1)

    cut, early = run(walk, rates, CUT)
    _, late = run(cut, rates, FIRST_BLOCKS - CUT)
    _, second = run(jax.vmap(at_new_rate)(cut), fresh_draws._DECAY * rates, SECOND_BLOCKS)
    first = np.concatenate([early, late], axis=1)
    return {"first": first, "second": second, "steps": np.asarray(length)}


@dataclasses.dataclass(frozen=True)
class Trace:
    """What a rule sees, and what was still to be gained after each entry, in nats per datum."""

    entries: np.ndarray
    remaining: np.ndarray
    steps: int

    @property
    def noise(self) -> float:
        late = self.entries[len(self.entries) // 2 :]
        return float(np.sqrt(0.5 * np.mean(np.diff(late) ** 2)))

    def reached(self, tolerance: float) -> int:
        """The first entry after which no more than the tolerance was to be gained."""
        return int(np.argmax(self.remaining <= tolerance))


def remaining(loss: np.ndarray) -> np.ndarray:
    """How far the true loss still falls: a falling curve through it, less its level at the end."""
    level = np.median(loss[-(len(loss) // 5) :])
    curve = isotonic_regression(median_filter(loss, 9, mode="nearest"), increasing=False).x
    return np.where(np.arange(len(loss)) < len(loss) - 1, np.maximum(curve - level, 0.0), 0.0)


def traces_of(recorded: dict[str, np.ndarray]) -> Iterator[Trace | None]:
    """All traces of a recording; None for a run that is unstable at its rate."""
    for part in ("first", "second"):
        for seen, loss in np.moveaxis(recorded[part], 2, 1):
            jumps = np.sqrt(0.5 * np.mean(np.diff(loss[len(loss) // 2 :]) ** 2))
            stable = np.isfinite(seen).all() and jumps < UNSTABLE
            yield Trace(seen, remaining(loss), int(recorded["steps"])) if stable else None


def relative_change(window: int, tolerance: float) -> Rule:
    """The median relative change of the last entries is small, as in Stan's ADVI."""

    def settled(trace: np.ndarray) -> bool:
        recent = trace[-window - 1 :]
        changes = np.abs(np.diff(recent) / recent[1:])
        return len(trace) > window and bool(np.median(changes) <= tolerance)

    return settled


def extrapolated(confidence: float, entries: int, tolerance: float) -> Rule:
    """The line through the second half, continued for the length of the trace, falls by little."""

    def settled(trace: np.ndarray) -> bool:
        half = trace[len(trace) // 2 :]
        at = np.arange(len(half)) - (len(half) - 1) / 2
        spread = float(at @ at)
        error = np.sqrt(0.5 * np.mean(np.diff(half) ** 2) / spread)
        drop = (-(at @ half) / spread + confidence * error) * len(trace)
        return len(trace) >= entries and bool(drop <= tolerance)

    return settled


def rules(tolerance: float) -> dict[str, Rule]:
    plateau = {
        f"`Plateau(confidence={c:g}, entries={n})`": amortis.Plateau(tolerance, c, n).settled
        for c, n in ((1, 12), (1, 40), (2, 12), (2, 24), (2, 40), (2, 60), (3, 40), (3, 60))
    }
    return plateau | {
        "extrapolated line, 1 s.e., 24 entries": extrapolated(1.0, 24, tolerance),
        "extrapolated line, 2 s.e., 24 entries": extrapolated(2.0, 24, tolerance),
        "median relative change of 10 entries ≤ 1e-2": relative_change(10, 1e-2),
        "median relative change of 10 entries ≤ tolerance": relative_change(10, tolerance),
    }


def fired(rule: Rule, trace: Trace) -> int | None:
    """The entry at which a rule stops a trace."""
    for count in range(EARLIEST, len(trace.entries) + 1):
        if rule(trace.entries[:count]):
            return count - 1
    return None


def score(rule: Rule, traces: list[Trace], tolerance: float) -> dict[str, Any]:
    """False stops, delay and misses of one rule."""
    at = [fired(rule, trace) for trace in traces]
    left = np.array([0.0 if i is None else t.remaining[i] for i, t in zip(at, traces, strict=True)])
    first = np.array([trace.remaining[EARLIEST - 1] for trace in traces])
    row: dict[str, Any] = {}
    for multiple in (2, 5):
        improving = first > multiple * tolerance
        row[f"false_{multiple}"] = float(np.mean(left[improving] > multiple * tolerance))
        row[f"improving_{multiple}"] = int(improving.sum())
    done = [
        (i - t.reached(tolerance), t.steps)
        for i, t, r, f in zip(at, traces, left, first, strict=True)
        if i is not None and f > 2 * tolerance and r <= 2 * tolerance
    ]
    delays = np.array([blocks for blocks, _ in done])
    row["delay"], row["delay_90"] = (float(np.quantile(delays, q)) for q in (0.5, 0.9))
    row["delay_steps"] = float(np.median([blocks * steps for blocks, steps in done]))
    half = [
        i
        for i, t in zip(at, traces, strict=True)
        if t.reached(tolerance) <= len(t.entries) // 2 - EARLIEST
    ]
    row["never"] = float(np.mean([i is None for i in half])) if half else None
    return row


def by_noise(rule: Rule, traces: list[Trace], tolerance: float) -> list[dict[str, Any]]:
    """The score of one rule, apart for traces of little and of much noise per entry."""
    edges = (0.0, 4.0, 8.0, 16.0, np.inf)
    rows: list[dict[str, Any]] = []
    for low, high in itertools.pairwise(edges):
        chosen = [t for t in traces if low * tolerance <= t.noise < high * tolerance]
        rows.append({"low": low, "high": high} | score(rule, chosen, tolerance))
    return rows


def whole_fits() -> list[dict[str, Any]]:
    """How far whole fits end from the best known, by the settings of the rule."""
    rows: list[dict[str, Any]] = []
    for problem in FITS:
        loss = loss_of(problem, seed=7)
        truth = jax.jit(truth_of(loss, seed=0, draws=64))
        inference = INFERENCE[problem.inference]
        key = jax.random.key(1)
        best = amortis.fit(loss.model, key=key, inference=inference, optimiser=amortis.FixedDraws())
        for plateau in (amortis.Plateau(confidence=1.0, entries=12), amortis.Plateau()):
            method = amortis.FreshDraws(problem.draws, problem.batch, plateau=plateau)
            fits = [
                amortis.fit(
                    loss.model, key=jax.random.key(i), inference=inference, optimiser=method
                )
                for i in range(problem.seeds)
            ]
            short = [float(truth(f.variational) - truth(best.variational)) for f in fits]
            steps = [int(fit.history.iterations[-1]) for fit in fits]
            rows.append(
                {
                    "problem": f"{problem.model}, {problem.inference}, N={problem.rows}, "
                    f"batch {problem.batch}",
                    "confidence": plateau.confidence,
                    "entries": plateau.entries,
                    "worst": max(short),
                    "median": float(np.median(short)),
                    "steps": float(np.median(steps)),
                    "converged": sum(f.status is amortis.Status.CONVERGED for f in fits),
                    "seeds": problem.seeds,
                }
            )
    return rows


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def line(name: str, row: dict[str, Any]) -> str:
    return (
        f"| {name} | {percent(row['false_2'])} | {percent(row['false_5'])} | {row['delay']:.0f} / "
        f"{row['delay_90']:.0f} | {row['delay_steps']:.0f} | {percent(row['never'])} |"
    )


def report(result: dict[str, Any]) -> str:
    """The tables as markdown."""
    head = "false stops at 2× | at 5× | delay, blocks (median / 90 %) | steps | never |"
    rule = "|---|---|---|---|---|---|"
    lines = [f"| rule | {head}", rule]
    lines += [line(name, row) for name, row in result["rules"].items()]
    lines += ["", f"| noise of an entry, tolerances | {head}", rule]
    for row in result["noise"]:
        name = f"{row['low']:g} to {row['high']:g} ({row['improving_2']} traces)"
        lines.append(line(name, row))
    lines += [
        "",
        "| fit | rule | short of the best known, worst / median | steps | converged |",
        "|---|---|---|---|---|",
    ]
    for row in result["fits"]:
        lines.append(
            f"| {row['problem']} | {row['confidence']:g} s.e., {row['entries']} entries | "
            f"{row['worst']:.1e} / {row['median']:.1e} | {row['steps']:.0f} | "
            f"{row['converged']} of {row['seeds']} |"
        )
    return "\n".join(lines)


def recordings(cache: Path) -> Iterator[dict[str, np.ndarray]]:
    """All recordings, from the cache where they are there."""
    cache.mkdir(parents=True, exist_ok=True)
    for problem in PROBLEMS:
        path = cache / f"{problem.name}.npz"
        if not path.exists():
            started = time.perf_counter()
            recorded = record(problem, zlib.crc32(problem.name.encode()) % 10_000)
            seconds = time.perf_counter() - started
            np.savez(path, **recorded, seconds=seconds)
            print(f"{problem.name}: {seconds:.0f} s", flush=True)
        with np.load(path) as file:
            yield dict(file)


def main() -> None:
    parser = argparse.ArgumentParser(description="Calibrate the plateau rule.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the tables")
    parser.add_argument("--cache", type=Path, default=Path("out/stopping"), help="recordings")
    arguments = parser.parse_args()
    recorded = list(recordings(arguments.cache))
    started = time.perf_counter()
    every = [trace for recording in recorded for trace in traces_of(recording)]
    traces = [trace for trace in every if trace is not None]
    result: dict[str, Any] = {
        "tolerance": TOLERANCE,
        "traces": len(every),
        "unstable": len(every) - len(traces),
        "improving": {
            m: sum(bool(t.remaining[EARLIEST - 1] > m * TOLERANCE) for t in traces)
            for m in (1, 2, 5)
        },
        "rules": {name: score(r, traces, TOLERANCE) for name, r in rules(TOLERANCE).items()},
        "noise": by_noise(amortis.Plateau(TOLERANCE).settled, traces, TOLERANCE),
        "fits": whole_fits(),
        "seconds_recording": sum(float(recording["seconds"]) for recording in recorded),
        "seconds_evaluating": time.perf_counter() - started,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, CPU",
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "numpyro": numpyro.__version__,
            "amortis": amortis.__version__,
        },
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    print(report(result))
    print({key: result[key] for key in ("traces", "unstable", "improving")})


if __name__ == "__main__":
    main()
