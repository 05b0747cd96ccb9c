"""The experiments as tasks: what the shared campaign needs to know of each.

A new experiment is a settings file, a function that makes its `Task` at a setting, and a line here.
"""

from collections.abc import Callable

from amortis.experiments.comparison import Setting
from amortis.experiments.runs import Task
from amortis.experiments.settings import Settings
from amortis.experiments.tasks.hmm_task import hmm_task
from amortis.experiments.tasks.linear_task import linear_task
from amortis.experiments.tasks.nonlinear_task import nonlinear_task
from amortis.experiments.tasks.saw_task import saw_task

TaskMaker = Callable[[Settings, Setting], Task]
"""Reads or draws the data of an experiment at a setting, and binds its model."""

TASKS: dict[str, TaskMaker] = {
    "linear": linear_task,
    "nonlinear": nonlinear_task,
    "saw": saw_task,
    "hmm": hmm_task,
}
"""In the order in which `reproduce paper` runs them."""

__all__ = ["TASKS", "TaskMaker"]
