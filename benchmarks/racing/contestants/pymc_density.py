"""PyMC's names and density, for comparison with the race's own."""

from collections.abc import Callable

import numpy as np
import pymc as pm

from racing.tasks import Task


def race_name(value: str) -> str:
    """A site's name in the race: PyMC adds the transform's to that of its value variable."""
    return value.removesuffix("_log__")


def log_joint_of(task: Task, model: pm.Model) -> Callable[[np.ndarray], np.ndarray]:
    """The log joint of points, shape (draws,)."""

    def log_joint(points: np.ndarray) -> np.ndarray:
        compiled = model.compile_logp()
        names = [variable.name for variable in model.value_vars]
        values = []
        for point in points:
            sites = task.split(point)
            values.append(float(compiled({name: sites[race_name(name)] for name in names})))
        return np.array(values)

    return log_joint
