"""NumPyro's automatic guides: SVI with Adam, and one draw per step as by default."""

from typing import Any

import jax
import numpy as np
from numpyro.infer import SVI, Trace_ELBO, init_to_mean, init_to_uniform
from numpyro.infer.autoguide import AutoMultivariateNormal, AutoNormal
from numpyro.optim import Adam

from racing.clock import Clock, train
from racing.contestants.numpyro_density import log_joint_of
from racing.models import MODELS
from racing.tasks import Task

STARTS = {"bnn": init_to_mean}
"""Where the default, uniform(-2, 2), is hopeless: the network's ELBO begins at -5e12 there."""


def run(task: Task, data: dict[str, Any], clock: Clock, options: dict[str, Any]) -> Any:
    """Train until the limit, in blocks that are compiled as one loop."""
    model = MODELS[task.name]
    Guide = AutoNormal if options["guide"] == "normal" else AutoMultivariateNormal
    # user code
    guide = Guide(model, init_loc_fn=STARTS.get(task.name, init_to_uniform))
    svi = SVI(model, guide, Adam(options["rate"]), Trace_ELBO())
    state = svi.init(jax.random.key(options["seed"]), **data)

    @jax.jit
    def block(state, steps):
        return jax.lax.fori_loop(0, steps, lambda _, s: svi.update(s, **data)[0], state)

    # end of user code
    jax.block_until_ready(block(state, 1))
    places = None if options["guide"] == "normal" else _places(task, guide)

    def advance(steps: int) -> None:
        nonlocal state
        state = jax.block_until_ready(block(state, steps))

    def q() -> dict[str, Any]:
        found = svi.get_params(state)
        if places is None:
            return {
                "mean": task.join({name: found[f"{name}_auto_loc"] for name in task.sites}),
                "sd": task.join({name: found[f"{name}_auto_scale"] for name in task.sites}),
            }
        factor = np.asarray(found["auto_scale_tril"])
        return {
            "mean": np.asarray(found["auto_loc"])[places],
            "sd": np.sqrt(np.square(factor).sum(1))[places],
            "factor": factor[places],
            "log_det": np.log(np.diag(factor)).sum(),
        }

    since = clock.now()
    q()  # what reads the parameters is compiled off the clock
    clock.pause(since)
    clock.start()
    train(clock, advance, q)
    clock.finish()
    return log_joint_of(task, data)


def _places(task: Task, guide: AutoMultivariateNormal) -> np.ndarray:
    """Where the guide's flat vector holds each latent of the race's order."""
    count = np.arange(task.latents, dtype=np.float32)
    return task.join(guide._unpack_latent(count)).astype(int)
