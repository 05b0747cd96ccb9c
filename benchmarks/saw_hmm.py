"""Two time series: the saw, where a window of two rows is enough, and chains, where none is.

    python benchmarks/saw_hmm.py --out benchmarks/results/saw_hmm.json [--only saw hmm ...]

Every number is measured here and printed as a markdown table.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rows import Row, measure, row

import amortis
from amortis.experiments import hmm, saw
from amortis.experiments.comparison import Setting

SIZE, SEEDS, BAR = 1000, 20, 0.5


@dataclasses.dataclass(frozen=True)
class Saw:
    """The saw model on data of a setting, with its closed form."""

    setting: Setting

    @functools.cached_property
    def x(self) -> np.ndarray:
        return saw.simulate(self.setting, SIZE, seed=0)

    @functools.cached_property
    def model(self) -> amortis.LatentModel:
        return amortis.from_numpyro(saw.model, self.x, self._flat)

    @functools.cached_property
    def exact(self) -> saw.ExactSaw:
        return saw.exact(self.x, self._flat)

    def shortfalls(self, what: str, function: Any, bar: float | None = BAR, **choices: Any):
        """Rows on the worst of all seeds, beside the closed form of the factorized optimum."""
        short, seconds, statuses = [], [], []
        for seed in range(SEEDS):
            started = time.perf_counter()
            key = jax.random.key(seed)
            fit = amortis.fit(self.model, key=key, inference=function, **choices)
            seconds.append(time.perf_counter() - started)
            short.append(self.exact.elbo - saw.exact_elbo(fit, self.x, self._flat))
            statuses.append(fit.status.name)
        name = f"saw as the {self.setting.value} has it, {what}"
        total = "ELBO short of closed form, nats total"
        return [
            row(name, f"worst {total}", max(short), bar),
            row(name, f"median {total}", float(np.median(short)), None),
            row(name, "seeds short by more than 0.5 nats", sum(s > BAR for s in short), None),
            row(name, "fits not CONVERGED", sum(s != "CONVERGED" for s in statuses), 0),
            row(name, "median seconds, warm", float(np.median(seconds)), None),
        ]

    @property
    def _flat(self) -> bool:
        return self.setting is Setting.CODE


def saw_windows() -> list[Row]:
    """(x_{n-1}, x_n), k >= 2, with and without the linear skip, the default, and F-VI."""
    rows: list[Row] = []
    for case in map(Saw, Setting):
        for skip in (True, False):
            for width in saw.WIDTHS:
                function = amortis.Windowed(amortis.MLP(width, skip=skip), (-1, 0))
                rows += case.shortfalls(f"(x_{{n-1}}, x_n), k = {width}, skip={skip}", function)
        rows += case.shortfalls("default", None)
        rows += case.shortfalls("F-VI", amortis.Table())
    return rows


def saw_repairs() -> list[Row]:
    """What brings the narrowest network without skip over the bar."""
    function = amortis.Windowed(amortis.MLP(2, skip=False), (-1, 0))
    settled = amortis.FixedDraws(mean_tolerance=0.01, sd_tolerance=0.002)
    name = "(x_{n-1}, x_n), k = 2, skip=False"
    return [
        each
        for case in map(Saw, Setting)
        for each in (
            *case.shortfalls(f"{name}, restarts=4", function, restarts=4),
            *case.shortfalls(f"{name}, tight globals", function, optimiser=settled),
            *case.shortfalls(f"{name}, both", function, restarts=4, optimiser=settled),
        )
    ]


def saw_alone() -> list[Row]:
    """x_n alone and the constant factor: hundreds and thousands of nats that no width regains."""
    rows: list[Row] = []
    for case in map(Saw, Setting):
        exact, name = case.exact, f"saw as the {case.setting.value} has it, closed form"
        short = "ELBO short of F-VI, nats total"
        rows.append(row(f"{name}, constant", short, exact.elbo - exact.constant_elbo, None))
        rows.append(row(f"{name}, linear in x_n", short, exact.elbo - exact.alone_elbo, None))
        rows += case.shortfalls("constant", amortis.Constant(), None)
        for width in saw.ALONE:
            function = amortis.MLP(width, skip=False)
            rows += case.shortfalls(f"x_n alone, k = {width}, skip=False", function, None)
    return rows


def chains() -> list[Row]:
    """The lines of the experiment: each fit beside its closed form."""
    rows: list[Row] = []
    for line in hmm.run(Setting.PAPER, key=jax.random.key(0)).lines:
        rows.append(row(line.name, line.quantity, line.result, None))
        rows.append(row(f"{line.name}, closed form", line.quantity, line.reference, None))
        if line.quantity == "KL, nats":
            off = abs(line.difference)
            rows.append(row(line.name, "KL off its closed form, nats total", off, 0.05))
    return rows


MEASUREMENTS: dict[str, Callable[[], list[Row]]] = {
    "saw": saw_windows,
    "repairs": saw_repairs,
    "alone": saw_alone,
    "hmm": chains,
}


if __name__ == "__main__":
    measure(MEASUREMENTS, Path(__file__).parent / "results" / "saw_hmm.json", __doc__)
