"""The density that NumPyro's contestants really see, for comparison with the race's own."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpyro.infer.util import initialize_model

from racing.models import MODELS
from racing.tasks import Task


def potential(task: Task, data: dict[str, Any], seed: int) -> tuple[Callable[[Any], Any], Any]:
    """Minus the log joint of unconstrained sites, and a random start."""
    found = initialize_model(
        jax.random.key(seed), MODELS[task.name], model_kwargs=data, dynamic_args=False
    )
    return found.potential_fn, found.param_info.z


def log_joint_of(task: Task, data: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """The log joint of points, shape (draws,)."""

    def log_joint(points: np.ndarray) -> np.ndarray:
        energy, _ = potential(task, data, 0)
        return np.array([-float(energy(task.split(p.astype(np.float32)))) for p in points])

    return log_joint
