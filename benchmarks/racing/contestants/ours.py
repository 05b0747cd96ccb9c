"""amortis: two fits, cold and warm, with nothing tuned.

A fit that is still at it when the time of training is over is interrupted, as by Ctrl-C, and then
there is no time for `refine`.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

import amortis
from racing.clock import RATIO, Clock
from racing.models import MODELS
from racing.tasks import Task

FUNCTIONS = {"constant": amortis.Constant, "table": amortis.Table, "default": lambda: None}


def run(task: Task, data: dict[str, Any], clock: Clock, options: dict[str, Any]) -> Any:
    """The cold fit counts from the launch of the process, the warm one from its own call."""
    monitor, function = Monitor(clock), FUNCTIONS[options["function"]]()
    # user code
    model = amortis.from_numpyro(MODELS[task.name], **data)
    # end of user code
    for phase, seed in (("cold", options["seed"]), ("warm", 1000 + options["seed"])):
        clock.start(phase)
        monitor.begin(phase)
        # user code
        fit = amortis.fit(model, key=jax.random.key(seed), inference=function, monitor=monitor)
        # end of user code
        if options["refined"] and fit.status is not amortis.Status.INTERRUPTED:
            monitor.of = [fit] * len(monitor.entries)
            fit = amortis.refine(fit, key=jax.random.key(seed + 1), monitor=monitor)
        seconds = clock.seconds()
        monitor.entries.append((seconds, fit.variational))
        monitor.write(task, fit)
        clock.note(**{f"{phase}_seconds": seconds, f"{phase}_status": fit.status.name})
    clock.finish()
    return log_joint_of(task, model)


def log_joint_of(task: Task, model: amortis.LatentModel) -> Callable[[np.ndarray], np.ndarray]:
    """The log joint of points, shape (draws,), as the bound model has it."""

    @jax.jit
    def one(point: jax.Array) -> jax.Array:
        sites = task.split(point)
        theta = {name: sites[name] for name in model.globals_}
        z = {name: sites[name] for name in model.locals_}
        return model.log_joint(theta, z)

    return lambda points: np.array([float(one(p.astype(np.float32))) for p in points])


class Monitor:
    """Keeps the parameters of every moment; q is computed from them after both fits.

    Where q is large, moments are kept on a grid, of the fine ratio: the goal there is where the
    best peer ends, whose own time is no point of its coarser grid. The time of training counts from
    the call for a warm fit, and from the first block, which was compiled, for a cold one, as for
    the peers.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.begin("cold")

    def begin(self, phase: str) -> None:
        self.phase, self.entries, self.of, self.due = phase, [], [], 0.0
        self.until = self.clock.limit if phase == "warm" else math.inf

    def __call__(self, progress: amortis.Progress, current: Any) -> None:
        seconds, since = self.clock.seconds(), self.clock.now()
        self.until = min(self.until, seconds + self.clock.limit)
        if seconds >= min(self.due, self.until):
            self.entries.append((seconds, current()))
            self.due = RATIO * max(self.due, seconds) if self.clock.coarse else 0.0
        self.clock.pause(since)
        if seconds >= self.until:
            raise KeyboardInterrupt  # `fit` returns the state of the moment

    def write(self, task: Task, fit: amortis.Fit) -> None:
        """Moments of all entries, of which at most a hundred are kept."""
        since = self.clock.now()
        of = self.of + [fit] * (len(self.entries) - len(self.of))
        every = max(1, -(-len(of) // 100))
        for i, ((seconds, parameters), record) in enumerate(zip(self.entries, of, strict=True)):
            if i % every and i != len(of) - 1:
                continue
            at = eqx.tree_at(lambda f: f.variational, record, parameters)
            self.clock.kept(seconds, self.phase, moments(task, at))
        self.clock.pause(since)


def moments(task: Task, fit: amortis.Fit) -> dict[str, np.ndarray]:
    """Means and sds in the race's order."""
    parts = {}
    for name, globals_, locals_ in zip(
        ("mean", "sd"), fit.global_moments(), fit.local_moments(), strict=True
    ):
        sites, start = {"z": np.asarray(locals_)}, 0
        for site, shape in fit.model.globals_.items():
            size = int(np.prod(shape))
            sites[site] = np.asarray(globals_)[start : start + size]
            start += size
        parts[name] = task.join(sites)
    return parts
