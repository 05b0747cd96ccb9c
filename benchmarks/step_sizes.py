"""How far gradient ascent comes in so many steps, by rule and rate: variational EM's weak point.

    python benchmarks/step_sizes.py [--rows 600] [--steps 200]

Probabilistic PCA of scikit-learn's digits with eight codes per image. The globals are held where
a fit by `Polynomial(1)` leaves them; from the start that all images share each image's factor
climbs its own ELBO by every rule. What is shown is how many nats per image the mean ELBO is short
of the best that any rule reaches, after so many steps. Writes the JSON and the picture, prints the
table.
"""

import argparse
import dataclasses
import json
import platform
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import amortis
from amortis.data import replacing
from amortis.experiments import digits
from amortis.guide import Guide
from amortis.objectives import with_row_elbos

HERE = Path(__file__).parent
OUT = HERE / "results" / "step_sizes.json"
PLOT = HERE.parent / "docs" / "images" / "step_sizes.png"
NEAR = 0.1
"""Nats per image short of the best that count as there."""

SHOWN = (1, 5, 20, 50, 200)
"""Numbers of steps in the table."""

_PLAIN = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1)
_ADAM = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
RULES: dict[str, dict[str, Any]] = {
    "gradient": {f"{rate:g}": amortis.MomentumSteps(rate) for rate in _PLAIN},
    "momentum 0.9": {f"{rate:g}": amortis.MomentumSteps(rate, 0.9) for rate in _PLAIN},
    "Adam": {f"{rate:g}": amortis.AdamSteps(rate) for rate in _ADAM},
    "L-BFGS": {"none": amortis.LBFGSSteps()},
}


def main() -> None:
    """Climb by every rule, write the JSON and the picture, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--steps", type=int, default=SHOWN[-1])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--plot", type=Path, default=PLOT)
    options = parser.parse_args()
    model = amortis.from_numpyro(digits.ppca, digits.images()[: options.rows])
    fitted = amortis.fit(
        model, key=jax.random.key(0), inference=amortis.Polynomial(1), globals_=amortis.Point()
    )
    curves = {
        rule: {rate: climb(fitted, choice, options.steps) for rate, choice in rates.items()}
        for rule, rates in RULES.items()
    }
    # What is no number is no best; a rule that diverges may still have been there before.
    best = max(float(np.nanmax(elbos)) for rates in curves.values() for elbos, _ in rates.values())
    runs = [
        {"rule": rule, "rate": rate, "short": _plain(best - elbos), "cut_rows": cut}
        for rule, rates in curves.items()
        for rate, (elbos, cut) in rates.items()
    ]
    result = {
        "machine": f"{platform.machine()}, CPU",
        "jax": jax.__version__,
        "rows": options.rows,
        "best": best,
        "runs": runs,
    }
    with replacing(options.out) as file:
        file.write((json.dumps(result, indent=1) + "\n").encode())
    plot(runs, options.plot)
    print(table(runs))


def climb(fitted: amortis.Fit, rule: Any, steps: int) -> tuple[np.ndarray, int]:
    """Mean ELBO of the rows after every step, the start first, and how many rows were ever cut."""
    model, family = fitted.model, fitted.guide.local_family
    inference = amortis.GradientAscent(rule, steps)
    made = Guide.for_model(model, inference, fitted.guide.global_family, family)
    guide = dataclasses.replace(with_row_elbos(made, model), offset=fitted.guide.offset)
    held = {"globals": fitted.variational["globals"], "locals": {}}

    @eqx.filter_jit
    def elbos(guide: Guide) -> tuple[jax.Array, jax.Array]:
        found = guide.climb(held, None)
        start = jnp.broadcast_to(guide.offset, found.raw.shape[1:])
        every = jnp.concatenate([start[None], found.raw])
        problem = guide.row_elbos.problem(guide.factors(), held, None)
        return jax.lax.map(lambda raw: jnp.mean(problem.elbos(raw)[0]), every), found.cut

    values, cut = elbos(guide)
    return np.asarray(values, np.float64), int(np.asarray(cut).any(axis=0).sum())


def _plain(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]


def table(runs: list[dict[str, Any]]) -> str:
    """Nats per image short of the best after so many steps, and the steps that come near it."""
    counts = [count for count in SHOWN if count < len(runs[0]["short"])]
    heads = [f"after {count}" for count in counts]
    lines = [
        f"| rule | rate | {' | '.join(heads)} | steps to {NEAR:g} | rows cut |",
        "|---|---|" + "---|" * (len(counts) + 2),
    ]
    for run in runs:
        cells = [_cell(run["short"][count]) for count in counts]
        near = [i for i, short in enumerate(run["short"]) if short is not None and short <= NEAR]
        cells += [f"{near[0]}" if near else "never", f"{run['cut_rows']}"]
        lines.append(f"| {run['rule']} | {run['rate']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(short: float | None) -> str:
    return "no number" if short is None else f"{short:.3g}"


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """One panel for each rule, one line for each rate; L-BFGS in all of them."""
    from matplotlib.figure import Figure

    rules = [rule for rule in RULES if rule != "L-BFGS"]
    figure = Figure(figsize=(3.6 * len(rules), 3.9), layout="constrained")
    grid = figure.subplots(1, len(rules), sharey=True)
    reference = next(run for run in runs if run["rule"] == "L-BFGS")
    shades = ("#9ecae1", "#56B4E9", "#0072B2", "#E69F00", "#D55E00")
    for axes, rule in zip(grid, rules, strict=True):
        axes.plot(*_line(reference), color="black", linestyle="--", label="L-BFGS, no rate")
        for shade, run in zip(shades, [run for run in runs if run["rule"] == rule], strict=True):
            axes.plot(*_line(run), color=shade, label=f"rate {run['rate']}")
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_yscale("log")
        axes.set_ylim(1e-3, 1e4)
        axes.set_xlim(0.0, len(reference["short"]) - 1)
        axes.set_title(rule)
        axes.set_xlabel("steps")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7, loc="lower left")
    grid[0].set_ylabel("ELBO short of the best (nats per image)")
    with replacing(path) as stream:
        figure.savefig(stream, format="png", dpi=110)


def _line(run: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    short = np.array([np.nan if value is None else value for value in run["short"]])
    return np.arange(len(short)), np.maximum(short, 1e-3)


if __name__ == "__main__":
    main()
