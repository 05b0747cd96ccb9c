"""All fits of a schedule, and their comparison with what was printed."""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import jax

import amortis
from amortis._types import RandomKey
from amortis.experiments.bnn.network import bnn
from amortis.experiments.bnn.one_fit import BnnRun, fit_recorded
from amortis.experiments.bnn.pictures import Pictures, read_pictures
from amortis.experiments.bnn.race import FACTORIZED, comparisons
from amortis.experiments.bnn.settings import (
    BnnMethod,
    BnnSchedule,
    BnnSettings,
    read_bnn_settings,
)
from amortis.experiments.comparison import MonitorFor, Reproduction, Setting
from amortis.experiments.kept import Kept, deciding

Runs = Mapping[str, tuple[BnnRun, ...]]
"""Fits of all seeds by method."""


@dataclasses.dataclass(frozen=True)
class BnnResult:
    """A schedule that was run.

    Attributes:
        settings: of the experiment.
        schedule: which schedule.
        pictures: the images.
        runs: fits of all seeds by method.
    """

    settings: BnnSettings
    schedule: BnnSchedule
    pictures: Pictures
    runs: Runs

    def reproduction(self) -> Reproduction:
        """Every number beside the printed one."""
        return Reproduction(
            f"{self.settings.title}, {self.pictures.title}, {len(self.pictures.training)} images, "
            f"{self.schedule.epochs} epochs",
            comparisons(self.settings, self.schedule, self.runs),
            self.remark,
        )

    @property
    def remark(self) -> str:
        """How to read the references."""
        schedule = self.schedule
        start = (
            "Reference: median of ten seeds printed by the authors' code."
            if schedule.printed
            else f"No reference: the printed values are of 10 000 images of FashionMNIST and 5000 "
            f"epochs; this schedule has {schedule.training} images, {schedule.epochs} epochs of "
            f"{schedule.per_epoch} steps."
        )
        return (
            f"{start} The decoder is the code's (283 920 weights; the paper says 57 232). Seconds "
            f"are those of steps: compilation and evaluations are left out. {FACTORIZED} has no "
            f"function for held-out images, so that it has no held-out error."
        )


def run(
    setting: Setting,
    *,
    key: RandomKey,
    seeds: int | None = None,
    monitor_for: MonitorFor | None = None,
    schedule: str = "short",
    data: Path | None = None,
    out: Path | None = None,
) -> Reproduction:
    """Fit images with each inference function and compare the errors of their reconstructions.

    Args:
        setting: the log joint and the networks are the code's in both; see `bnn`.
        key: random key.
        seeds: fits per method; by default what the schedule says.
        monitor_for: makes a monitor for each fit by its name.
        schedule: published, short (FashionMNIST, two CPU cores) or mnist (the same, held out).
        data: folder of the images; see `amortis.data.load_images`.
        out: folder in which finished fits are kept, and from which an interrupted run goes on.

    Returns:
        Lines for every method.
    """
    del setting
    return run_bnn(
        schedule, key=key, seeds=seeds, monitor_for=monitor_for, data=data, out=out
    ).reproduction()


def run_bnn(
    schedule: str = "short",
    *,
    key: RandomKey,
    seeds: int | None = None,
    first_seed: int = 0,
    monitor_for: MonitorFor | None = None,
    data: Path | None = None,
    out: Path | None = None,
) -> BnnResult:
    """The same, with the paths of all fits and reconstructions.

    Args:
        schedule: name of the schedule.
        key: random key; a fit depends on it and on its own seed and method only.
        seeds: fits per method; by default what the schedule says.
        first_seed: seed of the first fit.
        monitor_for: makes a monitor for each fit by its name.
        data: folder of the images.
        out: folder in which finished fits are kept.

    Returns:
        All fits.
    """
    settings = read_bnn_settings()
    chosen = settings.schedule(schedule)
    if seeds is not None:
        chosen = dataclasses.replace(chosen, seeds=seeds)
    pictures = read_pictures(chosen, data)
    return run_schedule(
        settings,
        chosen,
        pictures,
        key=key,
        first_seed=first_seed,
        monitor_for=monitor_for,
        out=out,
    )


def run_schedule(
    settings: BnnSettings,
    schedule: BnnSchedule,
    pictures: Pictures,
    *,
    key: RandomKey,
    first_seed: int = 0,
    monitor_for: MonitorFor | None = None,
    out: Path | None = None,
) -> BnnResult:
    """Run what is missing of a schedule on given images.

    Args:
        settings: of the experiment.
        schedule: which schedule.
        pictures: its images.
        key: random key.
        first_seed: seed of the first fit.
        monitor_for: makes a monitor for each fit by its name.
        out: folder in which finished fits are kept.

    Returns:
        All fits.
    """
    kept = Kept(out, {}, lambda line: print(line, file=sys.stderr))
    bound = _Bound(settings, pictures)
    found: dict[str, list[BnnRun]] = {name: [] for name in schedule.methods}
    for seed in range(first_seed, first_seed + schedule.seeds):
        for name in schedule.methods:
            method = settings.methods[name]
            label = f"bnn-{schedule.name}, {name}, seed {seed}"
            mine = kept.beside(**_decides(settings, schedule, method, pictures, key, seed))
            arrays = mine.arrays(label)
            if arrays is not None:
                one = BnnRun.of(arrays)
            else:
                monitor = None if monitor_for is None else monitor_for(label)
                one = fit_recorded(
                    bound(),
                    pictures.held_out,
                    method,
                    settings,
                    schedule,
                    key=jax.random.fold_in(key, seed),
                    monitor=monitor,
                )
                mine.keep_arrays(
                    label, {f.name: getattr(one, f.name) for f in dataclasses.fields(one)}
                )
            found[name].append(one)
    runs = {name: tuple(each) for name, each in found.items()}
    return BnnResult(settings, schedule, pictures, runs)


class _Bound:
    """The model bound to the images, once, and not before a fit needs it."""

    def __init__(self, settings: BnnSettings, pictures: Pictures) -> None:
        self._bind: Callable[[], amortis.LatentModel] = lambda: amortis.from_numpyro(
            bnn(settings.latents, settings.hidden), pictures.training
        )
        self._model: amortis.LatentModel | None = None

    def __call__(self) -> amortis.LatentModel:
        if self._model is None:
            self._model = self._bind()
        return self._model


def _decides(
    settings: BnnSettings,
    schedule: BnnSchedule,
    method: BnnMethod,
    pictures: Pictures,
    key: RandomKey,
    seed: int,
) -> dict[str, object]:
    """Everything that a fit's result depends on, as plain data."""
    return deciding(
        key,
        pictures.training,
        pictures.held_out,
        model=[settings.latents, *settings.hidden],
        optimiser=[settings.rate, settings.draws, schedule.batch],
        epochs=[schedule.epochs, schedule.evaluate],
        method=[method.function, method.width, method.start_sd],
        seed=seed,
    )
