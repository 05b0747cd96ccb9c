"""A published experiment at a setting: its runs, those there already left out, and its outputs."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from amortis._errors import ArgumentError
from amortis.experiments.comparison import MonitorFor, Setting
from amortis.experiments.results.figures import write_figures
from amortis.experiments.results.files import write_files
from amortis.experiments.results.reproduced import Reproduced
from amortis.experiments.results.summary import summarise
from amortis.experiments.runs import Campaign, RunStore, run_campaign
from amortis.experiments.settings import ScheduleName, Settings, read_settings
from amortis.experiments.tasks import TASKS, TaskMaker


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked of an experiment, besides its name and setting.

    Attributes:
        folder: for results; runs are kept in `runs` in it, each experiment's files in its own.
        schedule: of the paper's optimiser.
        seeds: fits per method and arm; None for what the settings say.
        first_seed: seed of the first fit.
    """

    folder: Path
    schedule: ScheduleName = ScheduleName.SHORT
    seeds: int | None = None
    first_seed: int = 0


def settings_of(experiment: str, setting: Setting) -> Settings:
    """The settings of an experiment, which must have that setting.

    Raises:
        ArgumentError: it was not published at that setting.
    """
    settings = read_settings(experiment)
    if setting not in settings.plans:
        (other,) = settings.plans
        raise ArgumentError(
            f"--as is '{setting.value}', but '{experiment}' has no such setting: the authors "
            f"published no code for it; expected {other.value}: leave --as out"
        )
    return settings


def reproduce(
    experiment: str,
    setting: Setting,
    request: Request,
    *,
    monitor_for: MonitorFor | None = None,
    tell: Callable[[str], None] = print,
    tasks: Mapping[str, TaskMaker] = TASKS,
) -> Reproduced:
    """Run an experiment at a setting, or what of it is missing, and write its files.

    Args:
        experiment: one of `TASKS`.
        setting: as the paper states it, or as its code ran it.
        request: how much of it, and where to.
        monitor_for: makes a monitor for each fit by its name.
        tell: is given lines about runs found or damaged.
        tasks: makers of tasks by name.

    Returns:
        The summary and what was written: tables, and pictures.

    Raises:
        ArgumentError: the experiment was not published at that setting, or a file cannot be
            written.
        MissingDependencyError: matplotlib is not installed; before anything is run.
        KeyboardInterrupt: interrupted; what was finished is kept.
    """
    require_pictures()
    settings = settings_of(experiment, setting)
    folder = request.folder / f"{experiment}-{setting.value}"
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"'{folder}' is a file; expected a folder or nothing: move it away")
    campaign = Campaign(
        settings, settings.plans[setting], request.schedule, request.seeds, request.first_seed
    )
    store = RunStore(request.folder / "runs", tell)
    task = tasks[experiment](settings, setting)
    runs = run_campaign(campaign, task, store, monitor_for=monitor_for, tell=tell)
    summary = summarise(campaign, task, runs)
    folder = request.folder / campaign.stem
    folder.mkdir(exist_ok=True)
    files = write_files(folder, summary, runs) + write_figures(folder, summary, runs)
    return Reproduced(summary, folder, tuple(files))


def require_pictures() -> None:
    """Refuse to start where pictures could not be drawn at the end.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    from amortis.report.matplotlib_import import new_figure

    new_figure(1.0, 1.0)
