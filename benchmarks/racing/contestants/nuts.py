"""NumPyro's NUTS: 500 steps of adaptation, then the running means of the globals."""

from typing import Any

import jax
import numpy as np
from numpyro.infer import MCMC, NUTS

from racing.clock import Clock
from racing.contestants.numpyro_density import log_joint_of
from racing.models import MODELS
from racing.tasks import Task

WARMUP, DRAWS, BLOCK = 500, 1000, 50


def run(task: Task, data: dict[str, Any], clock: Clock, options: dict[str, Any]) -> Any:
    """Sample twice, cold and warm; the adaptation cannot be looked into, nor be cut short."""
    # user code
    mcmc = MCMC(NUTS(MODELS[task.name]), num_warmup=WARMUP, num_samples=BLOCK, progress_bar=False)
    # end of user code
    for phase, seed in (("cold", options["seed"]), ("warm", 1000 + options["seed"])):
        clock.start(phase)
        # user code
        mcmc.warmup(jax.random.key(seed), **data)
        # end of user code
        blocks: list[np.ndarray] = []
        while len(blocks) * BLOCK < DRAWS and not clock.over():
            mcmc.post_warmup_state = mcmc.last_state
            mcmc.run(mcmc.last_state.rng_key, **data)
            blocks.append(_globals(task, mcmc.get_samples()))
            clock.snapshot(lambda blocks=blocks: {"mean": np.concatenate(blocks).mean(0)})
        clock.note(**{f"{phase}_seconds": clock.seconds(), "draws": len(blocks) * BLOCK})
    clock.finish()
    return log_joint_of(task, data)


def _globals(task: Task, draws: dict[str, Any]) -> np.ndarray:
    """Unconstrained globals in the race's order, shape (draws, globals)."""
    flat = {name: np.asarray(draws[name]).reshape(BLOCK, -1) for name in task.globals_}
    parts = [np.log(v) if name in task.positive else v for name, v in flat.items()]
    return np.concatenate(parts, axis=1)
