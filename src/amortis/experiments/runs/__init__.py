"""Fits of an experiment, one by one: what is run, what is kept of it, and where it is kept.

May enter: settings, and tasks that know how to fit a method once. An experiment is a `Task` for
each of its settings; everything else (seeds, files, resuming, convergence rules) is shared.
"""

from amortis.experiments.runs.arm import Arm, arms_of
from amortis.experiments.runs.campaign import Campaign, RunName, run_campaign
from amortis.experiments.runs.convergence import code_rule, reached_for_good, target_of
from amortis.experiments.runs.recorded_fit import recorded, recorded_fit
from amortis.experiments.runs.store import RunStore
from amortis.experiments.runs.task import RunPath, RunResult, Task

__all__ = [
    "Arm",
    "Campaign",
    "RunName",
    "RunPath",
    "RunResult",
    "RunStore",
    "Task",
    "arms_of",
    "code_rule",
    "reached_for_good",
    "recorded",
    "recorded_fit",
    "run_campaign",
    "target_of",
]
