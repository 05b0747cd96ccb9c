"""BlackJAX's mean-field VI on NumPyro's potential, with Adam and its own default of 100 draws."""

from typing import Any

import blackjax
import jax
import numpy as np
import optax

from racing.clock import Clock, train
from racing.contestants.numpyro_density import log_joint_of, potential
from racing.tasks import Task

DRAWS = {"bnn": 1}
"""As the paper's algorithm has it: of 100 draws of the network a step takes 3.5 s."""


def run(task: Task, data: dict[str, Any], clock: Clock, options: dict[str, Any]) -> Any:
    """Train until the limit, in blocks that are compiled as one loop."""
    draws = DRAWS.get(task.name, 100)
    # user code
    energy, start = potential(task, data, options["seed"])
    vi = blackjax.meanfield_vi(lambda at: -energy(at), optax.adam(options["rate"]), draws)
    state = vi.init(start)

    @jax.jit
    def block(state, key, steps):
        def one(i, state):
            return vi.step(jax.random.fold_in(key, i), state)[0]

        return jax.lax.fori_loop(0, steps, one, state)

    # end of user code
    key = jax.random.key(options["seed"])
    jax.block_until_ready(block(state, key, 1))

    def advance(steps: int) -> None:
        nonlocal state, key
        key, used = jax.random.split(key)
        state = jax.block_until_ready(block(state, used, steps))

    def q() -> dict[str, Any]:
        return {"mean": task.join(state.mu), "sd": np.exp(task.join(state.rho))}

    since = clock.now()
    q()  # what reads the state is compiled off the clock
    clock.pause(since)
    jax.random.split(key)
    clock.start()
    train(clock, advance, q)
    clock.finish()
    return log_joint_of(task, data)
