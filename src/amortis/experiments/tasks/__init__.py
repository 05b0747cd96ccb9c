"""The experiments as tasks: what the shared campaign needs to know of each.

A new experiment is a settings file, a function that makes its `Task` at a setting, and a line here.
"""

from collections.abc import Callable

from amortis.experiments.comparison import Setting
from amortis.experiments.runs import Task
from amortis.experiments.settings import Settings
from amortis.experiments.tasks.linear_task import linear_task

TaskMaker = Callable[[Settings, Setting], Task]
"""Reads or draws the data of an experiment at a setting, and binds its model."""

TASKS: dict[str, TaskMaker] = {
    "linear": linear_task,
}
"""In the order in which `reproduce paper` runs them."""

__all__ = ["TASKS", "TaskMaker"]
