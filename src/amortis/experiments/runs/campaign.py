"""All runs of an experiment at one setting, those that are there already left out."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

import amortis
from amortis.experiments.comparison import MonitorFor
from amortis.experiments.runs.arm import Arm, arms_of
from amortis.experiments.runs.store import RunStore
from amortis.experiments.runs.task import RunResult, Task
from amortis.experiments.settings import Method, Plan, ScheduleName, Settings


@dataclasses.dataclass(frozen=True)
class RunName:
    """Which run of an experiment.

    Attributes:
        method: what is fitted.
        arm: by which optimiser.
        seed: from zero.
    """

    method: Method
    arm: Arm
    seed: int

    @property
    def label(self) -> str:
        """For people: `A-VI, k = 16, Adam 0.01, seed 3`."""
        return f"{self.method.name}, {self.arm.name}, seed {self.seed}"


@dataclasses.dataclass(frozen=True)
class Campaign:
    """An experiment at a setting: what is to be run.

    Attributes:
        settings: of the experiment.
        plan: of the setting.
        schedule: of the paper's optimiser.
        seeds: fits per method and arm; None for what the settings say.
        first_seed: seed of the first fit.
    """

    settings: Settings
    plan: Plan
    schedule: ScheduleName = ScheduleName.SHORT
    seeds: int | None = None
    first_seed: int = 0

    @property
    def stem(self) -> str:
        """Name of its files, such as `nonlinear-code`."""
        return f"{self.settings.experiment}-{self.plan.setting.value}"

    def runs(self) -> Iterator[RunName]:
        """All runs: one seed of every method and arm, then the next; so that a part shows all."""
        most = max(self._seeds(method, Arm()) for method in self.settings.methods)
        for seed in range(most):
            for method in self.settings.methods:
                for arm in arms_of(method, self.plan, self.schedule):
                    if seed < self._seeds(method, arm):
                        yield RunName(method, arm, self.first_seed + seed)

    def _seeds(self, method: Method, arm: Arm) -> int:
        if self.seeds is not None:
            return self.seeds
        return method.seeds if arm.ours and method.seeds else self.settings.seeds


def run_campaign(
    campaign: Campaign,
    task: Task,
    store: RunStore,
    *,
    monitor_for: MonitorFor | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[RunName, RunResult]:
    """Run what is missing, and return all of it.

    Every run's key depends on its seed alone, and its result on its name and settings alone: an
    interrupted campaign that goes on gives the same results as one that was not.

    Args:
        campaign: what to run.
        task: the experiment at this setting.
        store: where results are kept; each is written as soon as it is there.
        monitor_for: makes a monitor for each fit by its name.
        tell: is given a line where runs were found in the store.

    Returns:
        By run.

    Raises:
        KeyboardInterrupt: interrupted; what is in the store stays.
    """
    runs, results = list(campaign.runs()), dict[RunName, RunResult]()
    for name in runs:
        kept = store.load(_file(campaign, name), _decides(campaign, task, name))
        if kept is not None:
            results[name] = kept
    if results and tell is not None:
        tell(f"{campaign.stem}: {len(results)} of {len(runs)} runs are there already")
    for number, name in enumerate(runs, start=1):
        if name in results:
            continue
        label = f"{campaign.stem}, run {number} of {len(runs)}: {name.label}"
        monitor = None if monitor_for is None else monitor_for(label)
        key = jax.random.key(name.seed)
        result = task.run(name.method, name.arm, key=key, monitor=monitor)
        store.save(_file(campaign, name), _decides(campaign, task, name), result)
        results[name] = result
    return {name: results[name] for name in runs}


def _file(campaign: Campaign, name: RunName) -> str:
    """`nonlinear-code/A-VI_k_16/Adam_0.01-seed03`; only letters that every file system takes."""
    method, arm = (re.sub(r"[^\w.+-]+", "_", part) for part in (name.method.name, name.arm.name))
    return f"{campaign.stem}/{method}/{arm}-seed{name.seed:02d}"


def _decides(campaign: Campaign, task: Task, name: RunName) -> Mapping[str, Any]:
    """Everything that a run's result depends on, as plain data."""
    method = dataclasses.asdict(name.method)
    del method["seeds"]  # how many others there are does not matter to one
    return {
        "experiment": campaign.settings.experiment,
        "setting": campaign.plan.setting.value,
        "skip": campaign.plan.skip,
        "method": method | {"window": list(name.method.window)},
        "arm": dataclasses.asdict(name.arm),
        "seed": name.seed,
        "data": task.digest,
        "amortis": amortis.__version__,
        "jax": jax.__version__,
        "backend": jax.default_backend(),
        "x64": bool(jax.config.read("jax_enable_x64")),
    }
