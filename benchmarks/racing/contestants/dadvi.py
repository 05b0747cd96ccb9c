"""Deterministic ADVI of pymc-extras: 30 fixed draws and trust-ncg, as by default."""

import contextlib
from typing import Any

import numpy as np
import pymc_extras.inference.dadvi.dadvi as implementation
from better_optimize.wrapper import ObjectiveWrapper

from racing.clock import Clock
from racing.contestants.pymc_density import log_joint_of, race_name
from racing.pymc_models import MODELS
from racing.tasks import Task


class OutOfTime(Exception):
    """The limit of training is reached."""


def run(task: Task, data: dict[str, Any], clock: Clock, options: dict[str, Any]) -> Any:
    """Fit once; the warm clock starts where its optimizer does, with everything compiled."""
    model = MODELS[task.name](**data)
    names = [variable.name for variable in model.value_vars]
    shapes = {name: value.shape for name, value in model.initial_point().items()}
    at = {}

    def q() -> dict[str, Any]:
        mean, log_sd = np.split(at["x"], 2)
        found, start = {}, 0
        for name in shapes:
            size = int(np.prod(shapes[name]))
            found[race_name(name)] = slice(start, start + size)
            start += size
        return {
            "mean": task.join({name: mean[p] for name, p in found.items()}),
            "sd": np.exp(task.join({name: log_sd[p] for name, p in found.items()})),
        }

    def callback(_: Any, x: np.ndarray, *__: Any) -> None:
        at["x"] = np.array(x)
        if clock.over() or clock.due():
            clock.snapshot(q)
        if clock.over():
            raise OutOfTime

    minimize = implementation.minimize

    def from_here(*arguments: Any, **named: Any) -> Any:
        clock.start()
        result = minimize(*arguments, **named)
        at["x"] = np.array(result.x)
        clock.snapshot(q)
        clock.note(seconds=clock.seconds(), status=str(result.message))
        raise OutOfTime  # what follows draws from q, which is not training

    implementation.minimize = from_here
    ObjectiveWrapper.callback = callback  # SciPy's, which cannot be given from outside
    assert names == list(shapes)
    with contextlib.suppress(OutOfTime):
        # user code
        implementation.fit_dadvi(model, random_seed=options["seed"], progressbar=False)
        # end of user code
    clock.finish()
    return log_joint_of(task, model)
