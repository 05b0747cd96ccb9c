"""PyMC's ADVI with Adam and its default of one draw per step.

The step computes the loss too, as in `pm.fit`: without it PyMC 5.28 draws the same noise at every
step, and diverges.
"""

from typing import Any

import numpy as np
import pymc as pm

from racing.clock import Clock, train
from racing.contestants.pymc_density import log_joint_of, race_name
from racing.pymc_models import MODELS
from racing.tasks import Task

START_SDS = {"bnn": 0.1}
"""Where the default, 0.69 everywhere, is hopeless: the network's ELBO begins at -1e11 there."""


def run(task: Task, data: dict[str, Any], clock: Clock, options: dict[str, Any]) -> Any:
    """Train until the limit."""
    model = MODELS[task.name](**data)
    sd = START_SDS.get(task.name)
    start_sds = None if sd is None else dict.fromkeys(task.sites, sd)
    # user code
    with model:
        advi = pm.ADVI(random_seed=options["seed"], start_sigma=start_sds)
        optimizer = pm.adam(learning_rate=options["rate"])
        step = advi.objective.step_function(obj_optimizer=optimizer, score=True)
    # end of user code
    group = advi.approx.groups[0]
    parameters = group.params_dict

    def advance(steps: int) -> None:
        for _ in range(steps):
            step()

    def q() -> dict[str, Any]:
        mean, rho = (parameters[name].get_value() for name in ("mu", "rho"))
        sd = np.logaddexp(0.0, rho)
        sites = {race_name(n): places for n, (_, places, *_) in group.ordering.items()}
        return {
            "mean": task.join({name: mean[places] for name, places in sites.items()}),
            "sd": task.join({name: sd[places] for name, places in sites.items()}),
        }

    clock.start()
    train(clock, advance, q)
    clock.finish()
    return log_joint_of(task, model)
